// What memif ports say of each other and of the rest. Works on drafts, as references.ts does.
import { resolve } from "node:path";
import type { Draft, Say } from "./draft.js";
import { memifRingDefault, modes, type PortConfig } from "./schema.js";

const code = "config_reference";

/** Bytes of an address in sockaddr_un, but one: a path ends, an abstract name begins with NUL. */
export const socketBytesMax = 107;
export const memifQueueMax = 16;
/** Frames of one queue (native/driver/memif/queue.h). */
export const memifQuotaMin = 128;
const frameBundle = 64;
const shareReserved = 75;
/** A frame of 9,216 bytes without its Ethernet header. */
export const memifMtuMax = 9202;

const abstractName = (socket: string): string | null =>
  /^(?:abstract:|@)(.*)$/s.exec(socket)?.[1] ?? null;

/** A path starts at the configuration's folder; the name of an abstract socket starts nowhere. */
export const socketAt = (socket: string, base: string): string =>
  abstractName(socket) === null ? resolve(base, socket) : socket;

/** Equal for sockets that are one: `abstract:` and `@` are two spellings. */
function identity(socket: string, base: string): string {
  const name = abstractName(socket);
  return name === null ? resolve(base, socket) : `@${name}`;
}

function socketProblem(socket: string, base: string): string | null {
  const name = abstractName(socket);
  if (name === "") return "an abstract socket needs a name";
  const bytes = Buffer.byteLength(name ?? resolve(base, socket));
  if (bytes <= socketBytesMax) return null;
  return `is ${bytes} bytes long${name === null ? " from the root" : ""}, more than ${socketBytesMax}`;
}

function checkOne(
  port: PortConfig,
  at: readonly (string | number)[],
  base: string,
  say: Say,
): void {
  if (port.interface !== undefined)
    say([...at, "interface"], "is not for driver memif: its peer is found by socket");
  if (port.socket === undefined) say([...at, "socket"], "is required for driver memif");
  const problem = port.socket === undefined ? null : socketProblem(port.socket, base);
  if (problem) say([...at, "socket"], problem);
  if (port.zeroCopy && port.role !== "client")
    say([...at, "zeroCopy"], "needs role client: only a client lends its memory");
  if (port.zeroCopy && port.mode === "ip")
    say([...at, "zeroCopy"], "is not for mode ip, which needs room before the packet");
  const quotaMin = memifQuotaMin * Math.min(port.queues, memifQueueMax);
  if (port.quota !== undefined && port.quota < quotaMin)
    say([...at, "quota"], `must be at least ${quotaMin}: ${memifQuotaMin} for each queue`);
  if (port.queues > memifQueueMax)
    say([...at, "queues"], `must be at most ${memifQueueMax} for driver memif`);
  if (port.mtu !== undefined && port.mtu > memifMtuMax)
    say([...at, "mtu"], `must be at most ${memifMtuMax} for driver memif`);
}

/** Frames that are promised to the port; a copying port without a quota has no promise. */
function framesKept(port: PortConfig): number {
  if (port.quota !== undefined) return port.quota;
  const queue = Math.max(2 * (port.ringSize ?? memifRingDefault), memifQuotaMin);
  return port.zeroCopy ? queue * port.queues : 0;
}

/** So many can be promised: the rest is for everybody else (native/packet/frame.h). */
function framesPromised(count: number): number {
  const bundles = Math.ceil(count / frameBundle);
  return Math.floor((bundles * frameBundle * shareReserved) / 100);
}

/** `base`: where relative paths start. */
export function checkMemif(draft: Draft, base: string, say: Say): void {
  const roles = new Map<string, { role: string; name: string }>();
  const ids = new Map<string, string>();
  const { count } = draft.sections.frames;
  const promised = framesPromised(count);
  let kept = 0;
  draft.ports.forEach((port, i) => {
    if (port?.driver !== "memif") return;
    const at = ["ports", i] as const;
    checkOne(port, at, base, say);
    const before = kept;
    kept += framesKept(port);
    if (before <= promised && kept > promised) {
      const words = `memif ports may keep ${kept} frames, more than ${shareReserved} % of ${count}`;
      say([...at, "quota"], words, code);
    }
    if (port.socket === undefined) return;
    const socket = identity(port.socket, base);
    const role = port.role ?? "server";
    const other = roles.get(socket);
    if (other && other.role !== role)
      say([...at, "role"], `port ${other.name} is a ${other.role} on the same socket`, code);
    if (!other) roles.set(socket, { role, name: port.name });
    const id = port.id ?? 0;
    const owner = ids.get(`${id} ${socket}`);
    if (owner !== undefined)
      say([...at, "id"], `port ${owner} has id ${id} on the same socket`, code);
    else ids.set(`${id} ${socket}`, port.name);
  });
}

/** `mode` means another thing to each driver. */
export function modeProblem(port: PortConfig): string | null {
  const words = modes[port.driver];
  if (port.mode === undefined || !words || words.includes(port.mode)) return null;
  return `must be one of ${words.join(", ")} for driver ${port.driver}, not text "${port.mode}"`;
}
