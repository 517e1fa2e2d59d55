// The one file that opens the addon. Bytes and numbers only; everything was checked above.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** A DSA work queue for native/copy (copy.h, DsaQueue). */
export interface NativeDsaQueue {
  /** Of the character device. */
  path: string;
  shared: boolean;
  /** Entries; of a shared queue those usable from user space. */
  size: number;
  batchMax: number;
  transferMax: number;
  blockOnFault: boolean;
}

export interface NativeCopy {
  engine: "auto" | "cpu" | "thread" | "dsa" | "model";
  /** -1: not pinned. */
  core: number;
  bytesMin: number;
  batchMin: number;
  queues: NativeDsaQueue[];
  model: {
    latencyNs: number;
    megabytesPerSecond: number;
    size: number;
    shared: boolean;
    reorder: boolean;
    poison: boolean;
    faultPerMillion: number;
    errorPerMillion: number;
    seed: number;
  };
}

export interface NativeOptions {
  workers: number;
  /** Frames in the arena, rounded up to whole bundles. */
  frames: number;
  /** 2048 or 4096 bytes. */
  frameSize: number;
  hugePages: boolean;
  flowCapacity4: number;
  flowCapacity6: number;
  hash: "sip13" | "crc32c";
  /** 16 secret bytes. */
  hashSeed: Uint8Array;
  mode: "polling" | "interrupt" | "adaptive";
  /** Core of worker i; missing or -1: not pinned. */
  pin: number[];
  snatPortLow: number;
  snatPortHigh: number;
  copy: NativeCopy;
  /** No corridor: ports 0 and 1 joined untouched, to measure what the drivers cost alone. */
  bridge?: boolean;
}

export interface NativePortSpec {
  name: string;
  driver: string;
  interface: string;
  queues: number;
  /** 0: the interface's. */
  mtu: number;
  options: Record<string, string>;
}

export interface NativePort {
  id: number;
  /** Six bytes; zero when the port has none of its own. */
  mac: Uint8Array;
  mtu: number;
  queues: number;
  description: string;
}

export interface NativePage {
  /** Where to go on; 0xffffffff at the end. */
  cursor: number;
  rows: Uint8Array;
}

export interface NativeInfo {
  workers: number;
  countersStride: number;
  framesTotal: number;
  framesFree: number;
  frameSize: number;
  hugePages: boolean;
  flows4: number;
  flows6: number;
  flowCapacity4: number;
  flowCapacity6: number;
  flowBytes: number;
  snatInUse: number;
  kernel: string;
  generation: number;
  running: boolean;
}

export interface NativeCopyInfo {
  /** What the copies are made by, for people. */
  engine: string;
  /** Why not by what was wished for; empty: it is. */
  why: string;
  /** The engine's counters, a JSON object. */
  stats: string;
}

/** A line that a port has for the log. */
export interface NativeNews {
  port: number;
  text: string;
}

export interface NativeDataplane {
  openPort(spec: NativePortSpec): NativePort;
  /** The new generation. Throws when the bytes are not a table set; nothing changed then. */
  publish(tables: Uint8Array): number;
  start(): void;
  stop(): void;
  /** True when every frame was given back. */
  close(): boolean;
  /** Offline, on a thread aside: to the end of the inputs of these ports, ties in their order. */
  replay(ports: number[]): Promise<void>;
  /** The workers' counters themselves: countersStride bytes per worker. */
  counters(): ArrayBuffer;
  flows(cursor: number, max: number, v6: boolean): NativePage;
  neighbours(cursor: number, max: number): NativePage;
  /** Learns neighbours from the kernel for ports that share their interface; false: there are none. */
  readNeighbours(): boolean;
  info(): NativeInfo;
  copy(): NativeCopyInfo;
  /** What the driver itself counts, a JSON object. */
  portStats(port: number): string;
  /** What happened on the ports since the last call. */
  news(): NativeNews[];
}

/** The corridor in memory, for bench path. */
export interface NativeLap {
  /** Nanoseconds per packet of one lap over newly drawn packets. */
  lap(what: "corridor" | "empty" | "floor" | "new"): number;
  close(): void;
}

/** The far end of a loop port's cable: packets by hand, for tests, examples and the demo. */
export interface NativeLoopEnd {
  /** False: no room, or longer than a cable carries. */
  inject(packet: Uint8Array): boolean;
  /** The next packet that left by the port, or null. */
  collect(): Uint8Array | null;
  close(): void;
}

export interface GenerateOptions {
  driver: string;
  interface: string;
  family: 4 | 6;
  /** IANA number: 6 or 17. */
  protocol: number;
  dstMac: Uint8Array;
  /** 16 bytes, IPv4 in the first 4. */
  service: Uint8Array;
  servicePort: number;
  flows: number;
  seconds: number;
  /** 0: as fast as the port takes them. */
  packetsPerSecond: number;
}

export interface NativeModule {
  LoopEnd: new (cable: string) => NativeLoopEnd;
  /** Nanoseconds for a cache line from one core to another and back; 0 if it cannot be told. */
  coreRoundTrip(core: number, other: number): number;
  /** The benchmark's packets, sent on a thread aside. */
  generate(options: GenerateOptions): Promise<{ sent: number; seconds: number }>;
  Dataplane: new (options: NativeOptions) => NativeDataplane;
  /** services: 18 bytes each, address (IPv4 in the first 4 of 16) and port in network order. */
  PathLap: new (
    dataplane: NativeDataplane,
    options: { family: 4 | 6; flows: number; services: Uint8Array },
  ) => NativeLap;
}

let loaded: NativeModule | undefined;

/** Opens the addon once. Throws an Error that says how to build it when it is not there. */
export function nativeModule(): NativeModule {
  if (loaded) return loaded;
  const built = fileURLToPath(new URL("../../../Release/nodeplane.node", import.meta.url));
  const path = process.env.NODEPLANE_MODULE ?? built; // another build of it, such as a sanitizer's
  try {
    loaded = createRequire(import.meta.url)(path) as NativeModule;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the native module is not built (npm run build): ${reason}`, { cause });
  }
  return loaded;
}
