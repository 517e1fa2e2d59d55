// Laps, for benchmarks: native/lap.
import type { NativeCopy, NativePortSpec } from "./native_plane.js";

export interface NativeLapOptions {
  family: 4 | 6;
  flows: number;
  /** 18 bytes each: address (IPv4 in the first 4 of 16) and port in network order. */
  services: Uint8Array;
  /** Answers will be asked for. */
  backward?: boolean;
}

/** native/lap/path_lap.h says what each is. */
export type LapWhat =
  | "corridor"
  | "both"
  | "silent"
  | "empty"
  | "floor"
  | "new"
  | "expire"
  | "reset";

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
  /**
   * The same of several workers at once, worker i on core cores[i], `laps` times; of known flows and of
   * lines behind as many untimed ones.
   */
  together(what: LapWhat, draws: LapDraw[], cores: number[], laps: number): number[];
  /** On a thread of its own, for `seconds` at least and until endTurns; so many flows expire a second. */
  beginTurns(seconds: number, expiring: number, core: number): void;
  /** Waits for its end. */
  endTurns(): LapTurns;
  close(): void;
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
