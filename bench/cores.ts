// Two cores, and how far they are from each other just now. A virtual machine is moved between core
// complexes while it runs; what two cores do together is then three to ten times slower or faster
// within seconds. So every two-core sample carries the round trip of a cache line before and after it.
import { cpus } from "node:os";
import { nativeModule } from "../src/runtime/native.js";
import { busyTicks, tickMs } from "./machine.js";
import { testpmdTicks } from "./testpmd.js";

/** Where the side that is measured works, and where everything that it works with does. */
export const workerCore = 0;
export const otherCore = 1;
/** Round trips below are within one core complex. */
const nearNsMax = 150;

/** More of the machine than that, and a sample says nothing. */
const othersShareMax = 0.1;
/**
 * `mixed`: it changed during the sample. `unknown`: the round trip could not be told. `disturbed`:
 * other processes worked meanwhile.
 */
export const distances = ["near", "far", "mixed", "unknown", "disturbed"] as const;
export type Distance = (typeof distances)[number];

export interface Sample {
  readonly value: number;
  readonly roundTripNs: readonly [before: number, after: number];
  /** Of all processors' time during the sample, what other processes took; 0 to 1. */
  readonly others: number;
}

export const roundTrip = (): number => nativeModule().coreRoundTrip(workerCore, otherCore);

export function distanceOf({ roundTripNs: [before, after], others }: Sample): Distance {
  if (others > othersShareMax) return "disturbed";
  if (before === 0 || after === 0) return "unknown";
  const isNear = before < nearNsMax;
  if (isNear !== after < nearNsMax) return "mixed";
  return isNear ? "near" : "far";
}

/** Processor time that neither this process nor a testpmd of ours has used, ms. */
function othersMs(): number {
  const { user, system } = process.cpuUsage();
  return (busyTicks() - testpmdTicks()) * tickMs - (user + system) / 1000;
}

/** One sample with the round trips around it. */
export async function sampled(measure: () => number | Promise<number>): Promise<Sample> {
  const before = roundTrip();
  const from = { at: performance.now(), others: othersMs() };
  const value = await measure();
  const took = performance.now() - from.at;
  // Ticks are coarse: what is less than one and a half may be none.
  const taken = Math.max(0, othersMs() - from.others - 1.5 * tickMs);
  return { value, roundTripNs: [before, roundTrip()], others: taken / (took * cpus().length) };
}
