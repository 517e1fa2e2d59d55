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

/** native/lap/path_lap.h says what each is. */
export type LapWhat = "corridor" | "empty" | "floor" | "new" | "expire" | "reset";

/** Whose packets a worker gets: flows first, first + stride, …; both: batch by batch in turn. */
export interface LapDraw {
  first: number;
  stride: number;
  way: "forward" | "backward" | "both";
}

/** Of a worker at work, ns; quantiles are at most 1/128 too large. */
export interface LapTurns {
  count: number;
  /** Turns in which another thread got the core; counted nowhere else. */
  preempted: number;
  expired: number;
  p50: number;
  p99: number;
  p9999: number;
  max: number;
}

/** The corridor in memory, for bench/. Throws when a packet of a lap does not leave as it should. */
export interface NativeLap {
  /** Nanoseconds per packet, or per new connection, of one lap over newly drawn packets. */
  lap(what: LapWhat): number;
  /** The same of several workers at once, worker i on core cores[i], `laps` times. */
  together(what: LapWhat, draws: LapDraw[], cores: number[], laps: number): number[];
  /** On a thread of its own, for `seconds` at least and until endTurns; so many flows expire a second. */
  beginTurns(seconds: number, expiring: number, core: number): void;
  /** Waits for its end. */
  endTurns(): LapTurns;
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

/** Laid packets of a client to services (native/peer/lay.h): flow i asks service i % count. */
export interface NativeLoad {
  /** Default 4. */
  family?: 4 | 6;
  /** IANA number: 6 or 17 (the default). */
  protocol?: number;
  /** Default ACK. */
  tcpFlags?: number;
  dstMac: Uint8Array;
  srcMac?: Uint8Array;
  /** 18 bytes each: address (IPv4 in the first 4 of 16) and port in network order. */
  services: Uint8Array;
  /** Default 1. */
  flows?: number;
  firstFlow?: number;
  /** Of the Ethernet frame, 60 to 9216; default 64 (IPv4) or 74. */
  bytes?: number;
  /** Payloads say flow and sequence number and are different for each packet. */
  sequence?: boolean;
}

export interface NativePeerOptions {
  port: NativePortSpec;
  /** A second port that packets may come back by; nothing is sent there. */
  back?: NativePortSpec;
  mode: "send" | "sink" | "both" | "bounce" | "echo";
  /** -1, the default: not pinned. */
  core?: number;
  /** Sleeps when idle; else it polls. */
  adaptive?: boolean;
  /** Of its core, 0 to 1. */
  cpuShare?: number;
  /** Bounds; 0, the default: none. `count` is of sent packets, or of received ones when none are sent. */
  seconds?: number;
  count?: number;
  /** 0: as fast as the port takes them. */
  packetsPerSecond?: number;
  /** both: packets on the way at most; 0: no limit. */
  window?: number;
  /** both: packets that have not come back for so long are lost; default 20. */
  patienceMs?: number;
  /** Packets per transmit, at most 256; default 64. */
  burst?: number;
  /** Default 8192 of 2048 bytes. */
  frames?: number;
  frameSize?: number;
  hugePages?: boolean;
  /** Who copies for its ports; they themselves without. An engine that is not to be had is an error. */
  copy?: NativeCopy;
  /** send and both: a load, or these packets in turn. */
  load?: NativeLoad;
  packets?: Uint8Array[];
  /** Received packets are those of a load with `sequence`. */
  check?: { flows: number; firstFlow?: number };
  /** What is sent bears its time; of what comes back, or comes from such a sender, the age is noted. */
  latency?: boolean;
  /** echo: 4 or 16 bytes each. */
  addresses?: Uint8Array[];
  /** echo; default the port's. */
  mac?: Uint8Array;
}

export interface NativePeerStats {
  received: number;
  receivedBytes: number;
  /** Taken by the port and not refused. */
  sent: number;
  sentBytes: number;
  /** Times a packet was offered and the port had no room. */
  notTaken: number;
  /** Taken by the port and lost there: no peer, its quota, the kernel's refusal. */
  refused: number;
  lostInDriver: number;
  /** With `check`: whole, new, in order; and all that is not. */
  good: number;
  duplicated: number;
  reordered: number;
  /** A wrong sum or byte; of echo too. */
  corrupt: number;
  /** Nothing that a load sends. */
  strange: number;
  /** Numbers missing between those that came; what is late is taken off again. */
  lost: number;
  /** bounce and echo: sent back, and not. */
  answered: number;
  dropped: number;
  /** Running time; from the first packet to the last; processor time (known at the end). */
  seconds: number;
  activeSeconds: number;
  cpuSeconds: number;
  running: boolean;
}

/** Ages of received packets, ns; quantiles are at most 1/128 too large. */
export interface NativeLatency {
  count: number;
  min: number;
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

/** What a peer says at its end. */
export interface NativePeerEnd extends NativePeerStats {
  /** With `latency`. */
  latency?: NativeLatency;
}

/** The outside of a port, on a thread of its own. */
export interface NativePeer {
  start(): void;
  stats(): NativePeerStats;
  /** What happened on its ports since the last call. */
  news(): string[];
  /** `stats`: what the drivers count, a JSON array. `copy`: what the engine counts, an object. */
  port(): Omit<NativePort, "id"> & { stats: string; copy: string };
  /** When its time or count is over, or it was stopped. The ports stay open. Takes a thread of libuv's pool. */
  finished(): Promise<NativePeerEnd>;
  /**
   * Nothing new is sent from here on; it goes on receiving, so that what is on its way arrives.
   * `false`: it goes on sending.
   */
  rest(resting?: boolean): void;
  /** Ends it and closes its ports. `balanced`: every frame came back. */
  stop(): Promise<NativePeerEnd & { balanced: boolean }>;
}

export interface CopyLapOptions {
  /** Driver memif, one queue, the same socket and id. */
  server: NativePortSpec;
  client: NativePortSpec;
  /** The server's. */
  copy: NativeCopy;
  /** Of every packet. */
  bytes: number;
  frameSize: number;
  /** Of either side. */
  frames: number;
  /** Packets of one turn, at most 256. */
  batch: number;
  workerCore: number;
  otherCore: number;
}

/** The worker's time by the CPU's tick counter. Idle turns moved nothing and found no copy finished. */
export interface CopyLapResult {
  packets: number;
  turns: number;
  idleTurns: number;
  busyNs: number;
  idleNs: number;
  /** From the first turn to the last packet. */
  wholeNs: number;
}

/** What a memif server's copies leave on the worker's core, for bench copy. Laps wait. */
export interface NativeCopyLap {
  /** Client to server; turns at least turnNs apart. Throws when a packet is missing or mangled. */
  receive(packets: number, turnNs: number): CopyLapResult;
  send(packets: number, turnNs: number): CopyLapResult;
  /** `why`: another engine than asked for. `stats`: a JSON object. */
  info(): { engine: string; why: string; stats: string };
  close(): void;
}

export interface NativeModule {
  CopyLap: new (options: CopyLapOptions) => NativeCopyLap;
  LoopEnd: new (cable: string) => NativeLoopEnd;
  /** Nanoseconds for a cache line from one core to another and back; 0 if it cannot be told. */
  coreRoundTrip(core: number, other: number): number;
  Peer: new (options: NativePeerOptions) => NativePeer;
  Dataplane: new (options: NativeOptions) => NativeDataplane;
  /** services: 18 bytes each, address (IPv4 in the first 4 of 16) and port in network order. */
  PathLap: new (
    dataplane: NativeDataplane,
    options: {
      family: 4 | 6;
      flows: number;
      services: Uint8Array;
      /** Answers will be asked for. */
      backward?: boolean;
    },
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
