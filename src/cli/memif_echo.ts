// nodeplane memif-echo: a pod's view of a memif port. Opens one end of a connection and answers what
// comes, as a host or by sending frames back, until SIGINT, SIGTERM or its time.
import { setTimeout as sleep } from "node:timers/promises";
import { memifRingDefault } from "../config/schema.js";
import type { IpText } from "../kit/brand.js";
import { messageOf, type Problem } from "../kit/error.js";
import { addressBytes, familyOf } from "../kit/ip.js";
import type { Port } from "../model/port.js";
import { type NativePeer, type NativePeerStats, nativeModule } from "../runtime/native.js";
import {
  type AddCommand,
  action,
  complain,
  Failed,
  print,
  printJson,
  type Rooms,
  WrongUsage,
} from "./context.js";

interface Options {
  readonly socket: string;
  readonly id: number;
  readonly role: string;
  readonly mode: string;
  readonly secret?: string;
  readonly address?: string[];
  readonly mac?: string;
  readonly echo?: boolean;
  readonly bounce?: boolean;
  readonly mtu?: number;
  readonly zeroCopy?: boolean;
  readonly ringSize: number;
  readonly queues: number;
  readonly core?: number;
  readonly poll?: boolean;
  readonly seconds?: number;
  readonly json?: boolean;
}

const newsMs = 100;
const framesMin = 4096;
/** Of every queue's ring: some for the peer's slots, as many on the way, and as many again. */
const framesPerSlot = 8;

function wrong(...lines: string[]): never {
  for (const line of lines) complain(`nodeplane: ${line}`);
  throw new WrongUsage();
}

/** A number, or the text as it is for the configuration's checks to complain of. */
const number = (text: string): number | string =>
  /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;

/** `ports.0.ringSize` is `--ring-size` here. */
function optionOf(path: string): string {
  const key = path.split(".")[2] ?? path;
  if (key === "addresses") return "--address";
  return `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
}

/** The configuration's own checks, told in the words of this command's options. */
async function portOf(rooms: Rooms, o: Options, frames: number): Promise<Port> {
  const { socket, id, role, mode, secret, mac, mtu, zeroCopy, ringSize, queues } = o;
  const loaded = await rooms.loadObject({
    ports: [
      {
        name: "echo",
        driver: "memif",
        addresses: (o.address ?? []).map((a) =>
          /\//.test(a) ? a : a.includes(":") ? `${a}/128` : `${a}/32`,
        ),
        ...{ socket, id, role, mode, secret, mac, mtu, zeroCopy, ringSize, queues },
      },
    ],
    frames: { count: frames },
  });
  if (!loaded.ok)
    return wrong(...loaded.error.map((p: Problem) => `${optionOf(p.path)}: ${p.message}`));
  return loaded.value.model.ports[0] as Port;
}

function openPeer(o: Options, port: Port, frames: number): NativePeer {
  const addresses = port.addresses.map((prefix) => {
    const text = prefix.slice(0, prefix.indexOf("/")) as IpText;
    return addressBytes(text).slice(0, familyOf(text) === 4 ? 4 : 16);
  });
  try {
    return new (nativeModule().Peer)({
      port: {
        name: port.name,
        driver: port.driver,
        interface: port.interface,
        queues: port.queues,
        mtu: port.mtu,
        options: { ...port.options },
      },
      mode: o.bounce ? "bounce" : "echo",
      adaptive: !o.poll,
      core: o.core ?? -1,
      frames,
      addresses,
    });
  } catch (cause) {
    throw new Error(`${port.interface}: ${messageOf(cause)}`, { cause });
  }
}

/** Until a signal or the time. */
async function untilEnd(seconds: number | undefined): Promise<void> {
  const over = new AbortController();
  const stop = (): void => over.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  // A timer holds the process; a peer's thread does not.
  for (const end = Date.now() + (seconds ?? Number.POSITIVE_INFINITY) * 1000; ; ) {
    const rest = Math.min(end - Date.now(), 1 << 30);
    if (rest <= 0 || over.signal.aborted) return;
    await sleep(rest, undefined, { signal: over.signal }).catch(() => undefined);
  }
}

function render(s: NativePeerStats, isBounce: boolean): string {
  const spoilt = isBounce ? "" : `, ${s.corrupt} of them corrupt`;
  return [
    `${s.received} packets in ${s.seconds.toFixed(1)} s, ${s.receivedBytes} bytes`,
    `${s.answered} ${isBounce ? "sent back" : "answered"}, ${s.dropped} dropped${spoilt}`,
    `${s.lostInDriver} lost in the driver, ${s.notTaken + s.refused} that the peer had no room for`,
  ].join("\n");
}

async function memifEcho(rooms: Rooms, o: Options): Promise<void> {
  if (o.echo && o.bounce) wrong("--echo and --bounce exclude each other");
  if (!o.bounce && !o.address?.length)
    wrong("an echo answers for addresses: give --address, or --bounce to send every frame back");
  for (const key of ["core", "seconds"] as const)
    if (typeof o[key] === "string")
      wrong(`--${key}: must be a number, not ${JSON.stringify(o[key])}`);
  const frames = Math.max(framesMin, framesPerSlot * o.ringSize * o.queues);
  const port = await portOf(rooms, o, frames);
  const peer = openPeer(o, port, frames);
  const tell = (): void => {
    for (const line of peer.news()) complain(line);
  };
  peer.start();
  complain(`${peer.port().description}; ${o.bounce ? "frames go back" : "answering"}`);
  const timer = setInterval(tell, newsMs);
  await untilEnd(o.seconds);
  clearInterval(timer);
  tell();
  const [driver] = JSON.parse(peer.port().stats) as [Record<string, unknown>];
  const stats = await peer.stop();
  if (o.json) printJson({ ...stats, port: driver });
  else print(render(stats, o.bounce ?? false));
  if (!stats.balanced) {
    complain("nodeplane: not every frame was given back");
    throw new Failed();
  }
}

const example = `
Example: a pod that answers ping and UDP at 10.1.0.50 for a dataplane whose configuration has
  ports: [{ name: pods, driver: memif, socket: /run/nodeplane/pods.sock, addresses: [10.1.0.1/24] }]

  nodeplane memif-echo --socket /run/nodeplane/pods.sock --address 10.1.0.50/24`;

export const addMemifEcho: AddCommand = (program, rooms) => {
  program
    .command("memif-echo")
    .description(
      "a pod's end of a memif port: answers ARP, NDP, echo and UDP, or sends frames back",
    )
    .requiredOption(
      "--socket <path>",
      "the server's socket; abstract:NAME or @NAME for an abstract one",
    )
    .option("--id <n>", "of the interface on that socket", number, 0)
    .option("--role <role>", "client or server", "client")
    .option("--secret <text>", "told to the server in clear, at most 24 bytes")
    .option("--mode <mode>", "ethernet or ip", "ethernet")
    .option("--address <address...>", "address to answer for; may be given again")
    .option("--mac <mac>", "default: one that follows from socket, id and role")
    .option("--echo", "answer as a host (default)")
    .option("--bounce", "send every frame back, MAC addresses exchanged")
    .option("--zero-copy", "lend the server the frames themselves: only to one that is trusted")
    .option("--ring-size <n>", "slots, a power of two, 32 to 16384", number, memifRingDefault)
    .option("--queues <n>", "rings each way", number, 1)
    .option("--mtu <bytes>", "largest IP packet, up to 9202; default 1500", number)
    .option("--core <n>", "processor to run on; default any", number)
    .option("--poll", "never sleep")
    .option("--seconds <n>", "end by itself", number)
    .option("--json", "the counters as one JSON document on standard output")
    .addHelpText("after", example)
    .action(action((options: Options) => memifEcho(rooms, options)));
};
