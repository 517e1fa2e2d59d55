// The outside of ports, for tests, examples and benchmarks: native/peer, and the far ends of loop cables.
import type { NativeCopy, NativePort, NativePortSpec } from "./native_plane.js";

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
