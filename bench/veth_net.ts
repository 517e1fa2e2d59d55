// The network of bench veth: client - node - backend in namespaces of one subject, joined by veth
// pairs. The client has a second interface behind the node, the sink, on which the generator's packets
// arrive again. Every NAPI works in a thread of its own, so that it is known whose core it costs.
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { removeStale } from "../src/demo/topology.js";

/** The node's work has one core, generator, sink, client and server the other. */
export const nodeCore = 1;
export const outsideCore = 0;

export const address = {
  client: "192.0.2.2",
  nodeClient: "192.0.2.1",
  nodeSink: "10.1.0.1",
  nodeBackend: "10.2.0.1",
} as const;
/** Where the generator's clients live (native/peer/lay.h). */
export const generatorNet = "172.16.0.0/12";
/** Packets to the sink are another station's, so that its kernel drops them at once. */
export const sinkMac = "02:00:00:00:99:99";
export const backendAddresses = [2, 3, 4, 5, 6].map((i) => `10.2.0.${i}`);

export const sides = ["client", "sink", "backend"] as const;
export type Side = (typeof sides)[number];

export interface VethNet {
  readonly namespaces: { readonly client: string; readonly node: string; readonly backend: string };
  /** The node's interfaces, and the ends of the same cables outside. */
  readonly node: Readonly<Record<Side, string>>;
  readonly outside: Readonly<Record<Side, string>>;
  /** Of the node's interface to the client. */
  readonly clientMac: string;
  /** Of the outside ends. */
  readonly outsideMacs: Readonly<Record<Side, string>>;
  remove(): void;
}

const quiet = { stdio: ["pipe", "pipe", "pipe"] as ["pipe", "pipe", "pipe"] };

/** Runs a program in a namespace to its end; its standard output. */
export function runIn(namespace: string, program: string, ...args: string[]): string {
  const all = ["netns", "exec", namespace, program, ...args];
  return execFileSync("ip", all, { ...quiet, maxBuffer: 64 << 20 }).toString();
}

export function batch(namespace: string, lines: readonly string[]): void {
  const run = spawnSync("ip", ["-n", namespace, "-batch", "-"], { input: lines.join("\n") });
  if (run.status !== 0) throw new Error(`ip -batch: ${run.stderr.toString().trim()}`);
}

const macOf = (namespace: string, name: string): string => {
  const out = execFileSync("ip", ["-n", namespace, "-j", "link", "show", name]).toString();
  return (JSON.parse(out) as [{ address: string }])[0].address;
};

/** `mtu`: of all interfaces. Names are the run's and the subject's own: NAPI threads are known by them. */
export function makeNet(index: number, mtu = 1500): VethNet {
  removeStale();
  const own = (what: string): string => `np-veth-${process.pid}-${index}-${what}`;
  const namespaces = { client: own("client"), node: own("node"), backend: own("backend") };
  const made: string[] = [];
  const remove = (): void => {
    for (const name of made.splice(0)) spawnSync("ip", ["netns", "del", name]);
  };
  const run = process.pid.toString(36); // at most 5 characters, of the 15 that a name may have
  const named = (end: string) =>
    Object.fromEntries(sides.map((s) => [s, `${end}${run}${index}${s}`])) as Record<Side, string>;
  const [node, outside] = [named("n"), named("o")];
  const home = { client: namespaces.client, sink: namespaces.client, backend: namespaces.backend };
  try {
    for (const name of Object.values(namespaces)) {
      execFileSync("ip", ["netns", "add", name], quiet);
      made.push(name);
      const settings = ["all", "default"].map((w) => `net.ipv6.conf.${w}.disable_ipv6=1`);
      runIn(name, "sysctl", "-qw", ...settings);
      batch(name, ["link set lo up"]);
    }
    for (const side of sides) {
      const peer = `peer name ${outside[side]} netns ${home[side]} mtu ${mtu}`;
      batch(namespaces.node, [
        `link add ${node[side]} mtu ${mtu} type veth ${peer}`,
        `link set ${node[side]} up`,
      ]);
      batch(home[side], [`link set ${outside[side]} up`]);
    }
    batch(namespaces.client, [
      `addr add ${address.client}/24 dev ${outside.client}`,
      `route add default via ${address.nodeClient}`,
    ]);
    batch(namespaces.backend, [
      ...backendAddresses.map((a) => `addr add ${a}/16 dev ${outside.backend}`),
      `route add default via ${address.nodeBackend}`,
    ]);
    const macs = sides.map((s) => [s, macOf(home[s], outside[s])]);
    return {
      namespaces,
      node,
      outside,
      clientMac: macOf(namespaces.node, node.client),
      outsideMacs: Object.fromEntries(macs) as Record<Side, string>,
      remove,
    };
  } catch (cause) {
    remove();
    throw cause;
  }
}

/** A tap's interface takes the place of the outside end of a cable. */
export function moveOutside(net: VethNet, side: Exclude<Side, "sink">, tap: string): void {
  const home = net.namespaces[side];
  const name = net.outside[side];
  const at = side === "client" ? [`${address.client}/24`] : backendAddresses.map((a) => `${a}/16`);
  const gateway = side === "client" ? address.nodeClient : address.nodeBackend;
  batch(net.namespaces.node, [`link set ${tap} netns ${home}`]);
  batch(home, [
    `link del ${name}`,
    `link set ${tap} name ${name}`,
    `link set ${name} up`,
    ...at.map((a) => `addr add ${a} dev ${name}`),
    `route add default via ${gateway}`,
  ]);
}

/** Kernel threads that poll these interfaces. */
function napiThreads(names: readonly string[]): number[] {
  const found: number[] = [];
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const name = /^napi\/(.*)-\d+$/.exec(readFileSync(`/proc/${pid}/comm`, "utf8").trim())?.[1];
      if (name && names.includes(name)) found.push(Number(pid));
    } catch {
      // ended meanwhile
    }
  }
  return found;
}

interface Priority {
  /** 0: none, the others are nice. */
  readonly realTime: number;
  readonly nice: number;
}

/** How this process and its children are scheduled: by priority, or by their group's weight (sched(7)). */
export function ownPriority(): Priority {
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  const realTime = Number(fields[37]); // field 40 of proc(5), the first two are cut off
  try {
    const group = readFileSync("/proc/self/autogroup", "utf8");
    return { realTime, nice: Number(/nice (-?\d+)/.exec(group)?.[1] ?? 0) };
  } catch {
    return { realTime, nice: 0 }; // no autogroups here
  }
}

const equal = ({ realTime, nice }: Priority): string[] =>
  realTime > 0 ? ["chrt", "-r", "-p", String(realTime)] : ["renice", "-n", String(nice), "-p"];
const above = ({ realTime }: Priority): string[] => ["chrt", "-f", "-p", String(realTime + 1)];

const prioritize = (pid: number, [program, ...args]: string[]): void => {
  execFileSync(program as string, [...args, String(pid)], quiet);
};

/** A worker goes before the NAPI on its core, which feeds it: packets leave while others still come. */
export const prioritizeWorker = (tid: number): void => prioritize(tid, above(ownPriority()));

/** Interfaces of a namespace poll in threads on this core from here on: the threads. */
function pinNapi(
  namespace: string,
  names: readonly string[],
  core: number,
  priority: string[],
): number[] {
  for (const name of names)
    runIn(namespace, "sh", "-c", `echo 1 > /sys/class/net/${name}/threaded`);
  const threads = napiThreads(names);
  for (const pid of threads) {
    execFileSync("taskset", ["-pc", String(core), String(pid)], quiet);
    prioritize(pid, priority);
  }
  return threads;
}

/** `first`: what polls outside goes before all else there, since a generator never lets go of its core. */
export type Outside = "first" | "equal";

/** All interfaces, once they have their NAPI: the node's threads and the others. */
export function pinAll(net: VethNet, way: Outside): { node: number[]; outside: number[] } {
  const { namespaces, node, outside } = net;
  const own = ownPriority();
  const there = way === "first" ? above(own) : equal(own);
  return {
    node: pinNapi(namespaces.node, Object.values(node), nodeCore, equal(own)),
    outside: [
      ...pinNapi(namespaces.client, [outside.client, outside.sink], outsideCore, there),
      ...pinNapi(namespaces.backend, [outside.backend], outsideCore, there),
    ],
  };
}

/**
 * Without an XDP program a veth uses its NAPI only when it has GRO and the other end sends no large
 * packets (drivers/net/veth.c, veth_skb_is_eligible_for_gro).
 */
export function useNapi(namespace: string, names: readonly string[]): void {
  for (const name of names) runIn(namespace, "ethtool", "-K", name, "gro", "on", "tso", "off");
}

/**
 * For large packets: segmentation offload where the other end can take it, so that a veth without an
 * XDP program hands packets to the backlog, of the node's core in the node and of the other outside.
 */
export function allowLarge(net: VethNet): void {
  const { namespaces, node, outside } = net;
  const all: [namespace: string, name: string, core: number][] = [
    ...Object.values(node).map((n): [string, string, number] => [namespaces.node, n, nodeCore]),
    [namespaces.client, outside.client, outsideCore],
    [namespaces.backend, outside.backend, outsideCore],
  ];
  for (const [namespace, name, core] of all) {
    const mask = (1 << core).toString(16);
    runIn(namespace, "sh", "-c", `echo ${mask} > /sys/class/net/${name}/queues/rx-0/rps_cpus`);
    // Refused while the other end has an XDP program, which takes none.
    spawnSync("ip", ["netns", "exec", namespace, "ethtool", "-K", name, "tso", "on"]);
  }
}

const queuePackets = 10_000;

/**
 * A queue before the outside ends: since Linux 6.16 a veth whose ring is full keeps its packets there
 * instead of losing them (drivers/net/veth.c, veth_xmit: NETDEV_TX_BUSY).
 */
export function addQueues({ namespaces, outside }: VethNet): void {
  const pfifo = ["root", "pfifo", "limit", String(queuePackets)];
  for (const side of ["client", "backend"] as const) {
    const at = ["-n", namespaces[side], "qdisc", "replace", "dev", outside[side]];
    execFileSync("tc", [...at, ...pfifo], quiet);
  }
}

/** Nanoseconds. */
const deferral = 20_000;

/**
 * NAPI that looks by a timer and stays masked meanwhile (Documentation/networking/napi.rst, software
 * IRQ coalescing), so that who sends to it wakes nobody; or is woken by what comes, as by default.
 */
function deferNapi(namespace: string, names: readonly string[], isDeferred: boolean): void {
  const [ns, times] = isDeferred ? [deferral, 1] : [0, 0];
  const write = names.map((name) => {
    const at = `/sys/class/net/${name}`;
    return `echo ${ns} > ${at}/gro_flush_timeout; echo ${times} > ${at}/napi_defer_hard_irqs`;
  });
  runIn(namespace, "sh", "-c", write.join("; "));
}

export const deferSink = ({ namespaces, outside }: VethNet, isDeferred: boolean): void =>
  deferNapi(namespaces.client, [outside.sink], isDeferred);
export const deferNode = ({ namespaces, node }: VethNet, isDeferred: boolean): void =>
  deferNapi(namespaces.node, Object.values(node), isDeferred);
