// DSA work queues of this machine, and for each whether and why not it can be used
// (kernel: Documentation/ABI/stable/sysfs-driver-dma-idxd). No queue is opened.
import { accessSync, constants } from "node:fs";
import { messageOf } from "../kit/error.js";
import { queuesOfLibrary } from "./accfg.js";
import type { DsaFacts, DsaRoots } from "./dsa_facts.js";
import { cpuFlags, list, missingCapabilities, read } from "./machine.js";

export interface DsaQueue extends DsaFacts {
  readonly usable: boolean;
  /** Why it is not usable, for people; empty: it is. */
  readonly why: string;
}

/** What the judgement hangs on; asked of this machine unless given. */
export interface DsaMachine {
  readonly flags: ReadonlySet<string>;
  readonly isRawIo: boolean;
}

export const kernelRoots: DsaRoots = { sysfs: "/sys/bus/dsa/devices", dev: "/dev/dsa" };
const wordsOfQueue = ["type", "mode", "state", "driver_name"] as const;

/** Where to look; given roots are read as files, since the library knows none but its own. */
function givenRoots(): DsaRoots | null {
  const { NODEPLANE_DSA_SYSFS: sysfs, NODEPLANE_DSA_DEV: dev } = process.env;
  if (sysfs === undefined && dev === undefined) return null;
  return { sysfs: sysfs ?? kernelRoots.sysfs, dev: dev ?? kernelRoots.dev };
}

function queueOfFiles(name: string, device: string, { sysfs, dev }: DsaRoots): DsaFacts {
  const text = (of: string, file: string): string => read(`${sysfs}/${of}/${file}`)?.trim() ?? "";
  const number = (of: string, file: string, otherwise: number): number => {
    const value = text(of, file);
    return value === "" ? otherwise : Number(value);
  };
  const [type = "", mode = "", state = "", driver = ""] = wordsOfQueue.map((w) => text(name, w));
  // A file that is hidden, as max_batch_size is without batches, counts as 0.
  const least = (file: string): number => Math.min(number(name, file, 0), number(device, file, 0));
  return {
    name,
    device,
    deviceEnabled: text(device, "state") === "enabled",
    pasidEnabled: number(device, "pasid_enabled", 0) === 1,
    numaNode: number(device, "numa_node", -1),
    type,
    mode,
    state,
    driver,
    size: number(name, "size", 0),
    threshold: number(name, "threshold", 0),
    group: number(name, "group_id", -1),
    priority: number(name, "priority", 0),
    blockOnFault: number(name, "block_on_fault", 0) === 1,
    batchMax: least("max_batch_size"),
    transferMax: least("max_transfer_size"),
    clients: number(name, "clients", 0),
    path: `${dev}/${name}`,
  };
}

/** wqN.M is of dsaN; those of iaxN are another engine's. */
export function queuesOfFiles(roots: DsaRoots): DsaFacts[] {
  const names = list(roots.sysfs);
  return names.flatMap((name) => {
    const device = `dsa${/^wq(\d+)\.\d+$/.exec(name)?.[1]}`;
    return names.includes(device) ? [queueOfFiles(name, device, roots)] : [];
  });
}

/** What is wrong with the character device, or null. */
function nodeProblem(path: string): string | null {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return null;
  } catch (caught) {
    return `${path}: ${messageOf(caught)}`;
  }
}

function whyNot(queue: DsaFacts, machine: DsaMachine): string {
  const shared = queue.mode === "shared";
  const [flag, instruction] = shared ? ["enqcmd", "ENQCMD"] : ["movdir64b", "MOVDIR64B"];
  const reasons: [boolean, string][] = [
    [queue.type !== "user", `type ${queue.type || "unknown"}, not user`],
    [!queue.deviceEnabled, `${queue.device} is not enabled`],
    [queue.state !== "enabled", `${queue.state || "unknown state"}, not enabled`],
    [!shared && queue.mode !== "dedicated", `mode ${queue.mode || "unknown"}`],
    [!machine.flags.has(flag), `this CPU lacks ${instruction}, which ${queue.mode} queues need`],
    [!queue.pasidEnabled, `${queue.device} has PASID disabled (boot with intel_iommu=on,sm_on)`],
    [queue.batchMax < 2, "no batches"],
    [!machine.isRawIo, "CAP_SYS_RAWIO is missing (INTEL-SA-01084)"],
  ];
  const found = reasons.filter(([is]) => is).map(([, why]) => why);
  // Without being enabled it has no device file: that would be no news.
  const node = queue.state === "enabled" && queue.type === "user" ? nodeProblem(queue.path) : null;
  return [...found, ...(node === null ? [] : [node])].join("; ");
}

const thisMachine = (): DsaMachine => ({
  flags: cpuFlags(),
  isRawIo: missingCapabilities(["CAP_SYS_RAWIO"]).length === 0,
});

const numbersOf = (name: string): number[] => name.match(/\d+/g)?.map(Number) ?? [];
function byName(a: DsaFacts, b: DsaFacts): number {
  const [x = 0, y = 0] = numbersOf(a.name);
  const [u = 0, v = 0] = numbersOf(b.name);
  return x - u || y - v;
}

/**
 * All work queues, by libaccel-config where it is installed, else from sysfs. NODEPLANE_DSA_SYSFS and
 * NODEPLANE_DSA_DEV stand for /sys/bus/dsa/devices and /dev/dsa.
 */
export function dsaQueues(machine: DsaMachine = thisMachine()): DsaQueue[] {
  const given = givenRoots();
  const told = given ? null : queuesOfLibrary(kernelRoots);
  // The library leaves out devices whose cmd_status it may not reset: then the files say more.
  const facts = told?.length ? told : queuesOfFiles(given ?? kernelRoots);
  return facts.sort(byName).map((queue) => {
    const why = whyNot(queue, machine);
    return { ...queue, usable: why === "", why };
  });
}

/** Those to be used: the named ones, or all that can be; and a reason when there is none. */
export function chooseDsaQueues(
  wanted: readonly string[],
  queues: readonly DsaQueue[] = dsaQueues(),
): { queues: DsaQueue[]; why: string } {
  const whys = new Map(queues.map((q) => [q.name, q.why]));
  const names = wanted.length > 0 ? wanted : queues.map((q) => q.name);
  const chosen = queues.filter((q) => q.usable && names.includes(q.name));
  const refused = names
    .map((name) => [name, whys.get(name) ?? "there is no such queue"])
    .filter(([, why]) => why !== "")
    .map(([name, why]) => `${name}: ${why}`);
  const isNone = queues.length === 0 && wanted.length === 0;
  return { queues: chosen, why: isNone ? "there is no DSA work queue" : refused.join(", ") };
}
