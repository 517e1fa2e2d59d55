// Generator and sink of bench veth, a program of its own inside the client's namespace: a sample for
// each message of its parent. One thread sends on one interface and counts on the other.
import { readdirSync, readFileSync } from "node:fs";
import { type NativePeerOptions, nativeModule } from "../src/runtime/native.js";

export interface PeerWish {
  readonly options: NativePeerOptions;
  /** Before the interval that counts, and that interval. */
  readonly warmMs: number;
  readonly sampleMs: number;
  /** Threads whose processor time is the node's: /proc/PID/task/TID. */
  readonly tasks: readonly string[];
  /** Those that poll the outside ends. */
  readonly outside: readonly string[];
}

export interface PeerSample {
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
  /** Of the node's threads together. */
  readonly cpuNs: number;
  /** And with all that works outside: generator, sink, and the kernel on their behalf. */
  readonly machineNs: number;
}

/** Run time, ns: the first figure of schedstat (Documentation/scheduler/sched-stats.rst). */
const runTime = (task: string): number =>
  Number(readFileSync(`${task}/schedstat`, "utf8").split(" ")[0]);

const sleep = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));

async function sample(wish: PeerWish): Promise<PeerSample> {
  const peer = new (nativeModule().Peer)(wish.options);
  peer.start();
  const own = readdirSync("/proc/self/task").map((tid) => `/proc/self/task/${tid}`);
  const total = (tasks: readonly string[]): number =>
    tasks.reduce((sum, task) => sum + runTime(task), 0);
  const look = () => {
    const cpuNs = total(wish.tasks);
    const { seconds, sent, received } = peer.stats();
    return { seconds, sent, received, cpuNs, machineNs: cpuNs + total([...wish.outside, ...own]) };
  };
  await sleep(wish.warmMs);
  const from = look();
  await sleep(wish.sampleMs);
  const to = look();
  await peer.stop();
  return {
    seconds: to.seconds - from.seconds,
    sent: to.sent - from.sent,
    received: to.received - from.received,
    cpuNs: to.cpuNs - from.cpuNs,
    machineNs: to.machineNs - from.machineNs,
  };
}

process.on("message", async (wish: PeerWish) => {
  try {
    process.send?.(await sample(wish));
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
process.on("disconnect", () => process.exit());
