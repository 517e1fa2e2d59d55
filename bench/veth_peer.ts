// Generator and sink of bench veth, a program of its own inside the client's namespace. Each line on
// standard input is a PeerWish; the answer is one JSON line, a PeerSample. One thread sends by one
// interface and counts what comes back by the other.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { MacText } from "../src/kit/brand.js";
import { macBytes } from "../src/kit/ip.js";
import {
  type NativeLatency,
  type NativePeer,
  type NativePeerOptions,
  nativeModule,
} from "../src/runtime/native.js";
import { busyTicks, tickMs } from "./machine.js";
import { outsideCore, ownPriority } from "./veth_net.js";
import { targets } from "./veth_services.js";

/** Threads, each as /proc/PID/task/TID. */
export interface Tasks {
  /** That poll the node's interfaces. */
  readonly node: readonly string[];
  readonly workers: readonly string[];
  /** That poll the outside ends. */
  readonly outside: readonly string[];
}

export interface PeerWish {
  /** Interfaces. */
  readonly port: string;
  readonly back: string;
  readonly dstMac: MacText;
  /** 0: an endpoint itself is asked. */
  readonly services: number;
  readonly flows: number;
  readonly firstFlow: number;
  /** 0: as fast as it goes. */
  readonly packetsPerSecond: number;
  /** Before the interval that counts, and that interval. */
  readonly warmMs: number;
  readonly sampleMs: number;
  readonly tasks: Tasks;
}

export interface PeerSample {
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
  /** Of the workers, and of the node's threads together. */
  readonly workersNs: number;
  readonly cpuNs: number;
  /** And with all that works outside: generator, sink, and the kernel on their behalf. */
  readonly machineNs: number;
  /** Of all processors' time, what others took; 0 to 1. */
  readonly others: number;
  /** Of packets at a rate. */
  readonly latency: NativeLatency | null;
}

/** Run time, ns: the first figure of schedstat (Documentation/scheduler/sched-stats.rst). */
const runTime = (task: string): number =>
  Number(readFileSync(`${task}/schedstat`, "utf8").split(" ")[0]);
export const runTimes = (tasks: readonly string[]): number =>
  tasks.reduce((sum, task) => sum + runTime(task), 0);

/**
 * Packets on their way at most: fewer than the 256 that a veth ring holds, so that nobody works for
 * packets that are then lost.
 */
const windowMax = 240;

function optionsOf(wish: PeerWish): NativePeerOptions {
  const port = (name: string, at: string): NativePeerOptions["port"] => ({
    name,
    driver: "af_xdp",
    interface: at,
    queues: 1,
    mtu: 0,
    // How its NAPI is woken is the sample's to say (veth_net.ts).
    options: { deferUs: "0" },
  });
  return {
    port: port("generator", wish.port),
    back: port("sink", wish.back),
    mode: "both",
    core: outsideCore,
    window: windowMax,
    packetsPerSecond: wish.packetsPerSecond,
    latency: true,
    load: {
      dstMac: Uint8Array.from(macBytes(wish.dstMac)),
      services: targets(wish.services),
      flows: wish.flows,
      firstFlow: wish.firstFlow,
    },
  };
}

/** It rests between samples of one kind: to open its ports takes longer than a sample. */
let kept: { readonly kind: string; readonly peer: NativePeer } | undefined;

const threads = (): string[] =>
  readdirSync("/proc/self/task").map((tid) => `/proc/self/task/${tid}`);
const isGenerator = (task: string): boolean =>
  readFileSync(`${task}/comm`, "utf8").startsWith("np-peer");

/** The generator never lets go of its core: with real-time priorities it gets a lower one than this. */
async function lowerGenerator(): Promise<void> {
  const { realTime } = ownPriority();
  if (realTime < 2) return;
  let generator = threads().find(isGenerator);
  for (; !generator; generator = threads().find(isGenerator)) await sleep(1);
  const tid = generator.slice(generator.lastIndexOf("/") + 1);
  execFileSync("chrt", ["-r", "-p", String(realTime - 1), tid], { stdio: "ignore" });
}

async function peerOf(wish: PeerWish): Promise<NativePeer> {
  const options = optionsOf(wish);
  const kind = JSON.stringify([
    options.port,
    options.back,
    options.packetsPerSecond,
    wish.services,
    wish.flows,
    wish.firstFlow,
  ]);
  if (kept?.kind === kind) {
    kept.peer.rest(false);
    return kept.peer;
  }
  await kept?.peer.stop();
  const peer = new (nativeModule().Peer)(options);
  kept = { kind, peer };
  peer.rest();
  peer.start();
  await lowerGenerator();
  peer.rest(false);
  return peer;
}

/** At a rate it is stopped, which tells the latency, else it rests. */
async function endOf(peer: NativePeer, wish: PeerWish): Promise<NativeLatency | null> {
  if (wish.packetsPerSecond === 0) {
    peer.rest();
    return null;
  }
  kept = undefined;
  return (await peer.stop()).latency ?? null;
}

async function sample(wish: PeerWish): Promise<PeerSample> {
  const { tasks } = wish;
  const peer = await peerOf(wish);
  const own = threads();
  const look = () => {
    const workersNs = runTimes(tasks.workers);
    const cpuNs = workersNs + runTimes(tasks.node);
    const { seconds, sent, received } = peer.stats();
    const machineNs = cpuNs + runTimes([...tasks.outside, ...own]);
    return { seconds, sent, received, workersNs, cpuNs, machineNs, busyMs: busyTicks() * tickMs };
  };
  await sleep(wish.warmMs);
  const from = look();
  await sleep(wish.sampleMs);
  const to = look();
  const latency = await endOf(peer, wish);
  const seconds = to.seconds - from.seconds;
  const machineNs = to.machineNs - from.machineNs;
  // Ticks are coarse: what is less than one and a half may be none.
  const othersMs = to.busyMs - from.busyMs - machineNs / 1e6 - 1.5 * tickMs;
  return {
    seconds,
    sent: to.sent - from.sent,
    received: to.received - from.received,
    workersNs: to.workersNs - from.workersNs,
    cpuNs: to.cpuNs - from.cpuNs,
    machineNs,
    others: Math.max(0, othersMs) / (seconds * 1000 * cpus().length),
    latency,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for await (const line of createInterface({ input: process.stdin }))
    process.stdout.write(`${JSON.stringify(await sample(JSON.parse(line) as PeerWish))}\n`);
  await kept?.peer.stop();
}
