// A dataplane as the addon has it: native/napi/dataplane.cc.

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
  /** Where connections outlive the process; "": in private memory. */
  flowFile: string;
  /** A hugetlbfs is mounted there for it; "": it lies where it is called. */
  flowHugeDirectory: string;
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

export interface NativeFlowFile {
  /** For people: where it is, on which pages and why on those. */
  description: string;
  /** For people: what was found there; "": nothing. */
  news: string;
  /** An earlier process' connections are in it. */
  found: boolean;
  /** 16 hex digits, others for every file made afresh. */
  id: string;
  /** Connections, at the first publish. */
  restored: {
    recovered: number;
    /** Check word, state or keys. */
    damaged: number;
    /** Of services or endpoints that the directory of ids does not know. */
    unknown: number;
    doubled: number;
    /** Their port for masquerade is not to be had. */
    portless: number;
    expired: number;
    milliseconds: number;
  };
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
  /** True when every frame was given back. `keepFlows`: the flow file stays for the next process. */
  close(keepFlows: boolean): boolean;
  /** By id: the earlier process' generation in which it got its meaning. Before the first publish. */
  knowIds(services: Uint32Array, endpoints: Uint32Array): void;
  /** Null: connections are in private memory. */
  flowFile(): NativeFlowFile | null;
  /** Offline, on a thread aside: to the end of the inputs of these ports, ties in their order. */
  replay(ports: number[]): Promise<void>;
  /** The workers' counters themselves: countersStride bytes per worker. */
  counters(): ArrayBuffer;
  flows(cursor: number, max: number, v6: boolean): NativePage;
  /** ZoneStateRows by zone. */
  zones(v6: boolean): ArrayBuffer;
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
