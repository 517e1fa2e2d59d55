// Both ends of a memif connection within this process, for the benchmarks.
import type { NativeCopy, NativePortSpec } from "../src/runtime/native.js";
import { otherCore } from "./cores.js";

export type EngineName = "cpu" | "thread" | "model" | "dsa";

/** Of packets of so many bytes: a slot and its buffer take a whole one, frames too where they can. */
export const isJumbo = (bytes: number): boolean => bytes > 2048;
export const bufferSize = (bytes: number): number => (isJumbo(bytes) ? 9216 : 2048);
export const frameSize = (bytes: number): number => (isJumbo(bytes) ? 4096 : 2048);
/** Frames under copy in both ways together: rings full of packets of one frame, or of three. */
const quota = (bytes: number): number => (isJumbo(bytes) ? 6144 : 2048);
/** Of an arena: the quota is at most three quarters of it. */
export const frameCount = (bytes: number): number => 2 * quota(bytes);
const mtuMax = 9202;

let sockets = 0;
/** An abstract socket of nobody else's. */
export const newSocket = (): string => `@nodeplane-bench-${process.pid}-${sockets++}`;

export function memifPort(
  role: "server" | "client",
  socket: string,
  bytes: number,
  options: Record<string, string> = {},
): NativePortSpec {
  return {
    name: role,
    driver: "memif",
    interface: socket,
    queues: 1,
    mtu: mtuMax,
    options: {
      role,
      socket,
      quota: String(quota(bytes)),
      bufferSize: String(bufferSize(bytes)),
      ...options,
    },
  };
}

/** The configuration's defaults; copiers work on the other core. */
export const copyOptions = (engine: EngineName, own: Partial<NativeCopy> = {}): NativeCopy => ({
  engine,
  core: otherCore,
  bytesMin: 256,
  batchMin: 4,
  queues: [],
  model: {
    latencyNs: 1000,
    megabytesPerSecond: 30_000,
    size: 128,
    shared: false,
    reorder: false,
    poison: false,
    faultPerMillion: 0,
    errorPerMillion: 0,
    seed: 1,
  },
  ...own,
});
