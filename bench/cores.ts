// Two cores, and how far they are from each other just now. A virtual machine is moved between core
// complexes while it runs; what two cores do together is then three to ten times slower or faster
// within seconds. So every two-core sample carries the round trip of a cache line before and after it.
import { nativeModule } from "../src/runtime/native.js";

/** Where the side that is measured works, and where everything that it works with does. */
export const workerCore = 0;
export const otherCore = 1;
/** Round trips below are within one core complex. */
export const nearNsMax = 150;

/** `mixed`: it changed during the sample. `unknown`: somebody else had one of the cores. */
export type Distance = "near" | "far" | "mixed" | "unknown";

export interface Sample {
  readonly value: number;
  readonly roundTripNs: readonly [before: number, after: number];
}

export const roundTrip = (): number => nativeModule().coreRoundTrip(workerCore, otherCore);

export function distanceOf({ roundTripNs: [before, after] }: Sample): Distance {
  if (before === 0 || after === 0) return "unknown";
  const isNear = before < nearNsMax;
  if (isNear !== after < nearNsMax) return "mixed";
  return isNear ? "near" : "far";
}

/** One sample with the round trips around it. */
export async function sampled(measure: () => number | Promise<number>): Promise<Sample> {
  const before = roundTrip();
  const value = await measure();
  return { value, roundTripNs: [before, roundTrip()] };
}
