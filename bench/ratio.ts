// Ratios of samples that were taken side by side. Two samples make a pair when they are of the same
// round and the cores were equally far from each other during both; all else says nothing.
import { distanceOf, distances, type Sample } from "./cores.js";
import { type Goal, samplesMin } from "./goal.js";
import { type Measured, measured, median, type Parameters, type Skipped } from "./report.js";

const resamples = 2000;
/** Half of what lies outside a 95 % interval. */
const tail = 0.025;
const pairsMin = 3;

/** Marsaglia's xorshift32: the same interval for the same samples. */
export function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** The 95 % interval of the median, by the bootstrap (Efron 1979): medians of samples drawn again. */
export function medianInterval(values: readonly number[]): [low: number, high: number] {
  const random = makeRandom(2463534242);
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] as number)),
  ).sort((a, b) => a - b);
  const at = (share: number) => medians[Math.floor(share * (resamples - 1))] as number;
  return [at(tail), at(1 - tail)];
}

/** A figure with a goal of its own, in its unit. */
export const withGoal = (figure: Measured, goal: Goal): Measured => ({
  ...figure,
  interval: medianInterval(figure.samples),
  goal,
});

/** Of ratios that were taken pair by pair. */
function ratioCase(
  subject: string,
  parameters: Parameters,
  pairs: readonly number[],
  goal?: Goal,
): Measured {
  const interval = medianInterval(pairs);
  const found = { ...measured(subject, parameters, "ratio", pairs), pairs: pairs.length, interval };
  return goal ? { ...found, goal } : found;
}

/** `ours` over `theirs`, round by round, of two cases that one core measured in turn (runner.ts). */
export function ratioOf(
  subject: string,
  parameters: Parameters,
  ours: Measured,
  theirs: Measured,
  goal?: Goal,
): Measured {
  if (ours.samples.length !== theirs.samples.length)
    throw new RangeError(`${subject}: samples that are not of the same rounds`);
  const pairs = ours.samples.map((sample, i) => sample / (theirs.samples[i] as number));
  return ratioCase(subject, parameters, pairs, goal);
}

/** `ours[i] / theirs[i]` of each round, by the state that the cores were in. */
function pairsOf(
  ours: readonly Sample[],
  theirs: readonly Sample[],
): Readonly<Record<"near" | "far", readonly number[]>> {
  const pairs = { near: [] as number[], far: [] as number[] };
  ours.forEach((our, i) => {
    const their = theirs[i];
    const distance = distanceOf(our);
    if (!their || distance !== distanceOf(their) || their.value <= 0) return;
    if (distance === "near" || distance === "far") pairs[distance].push(our.value / their.value);
  });
  return pairs;
}

/** Whether there are pairs enough for a goal, in one state of the cores. */
export function isTold(ours: readonly Sample[], theirs: readonly Sample[]): boolean {
  const { near, far } = pairsOf(ours, theirs);
  return near.length >= samplesMin || far.length >= samplesMin;
}

/**
 * Ratios of ours to theirs, or the other way round where less is better: one case for each state of
 * the cores that there were enough pairs in. A state with few says nothing about the goal when the
 * other has enough.
 */
export function ratios(
  subject: string,
  parameters: Parameters,
  ours: readonly Sample[],
  theirs: readonly Sample[],
  goal?: Goal,
): (Measured | Skipped)[] {
  const pairs = pairsOf(ours, theirs);
  const least = isTold(ours, theirs) ? samplesMin : 0;
  const cases = (["near", "far"] as const)
    .filter((cores) => pairs[cores].length >= pairsMin)
    .map((cores) => {
      const own = pairs[cores];
      return ratioCase(
        subject,
        { ...parameters, cores },
        own,
        own.length < least ? undefined : goal,
      );
    });
  if (cases.length > 0) return cases;
  const count = pairs.near.length + pairs.far.length;
  const skipped = `${count} pairs of samples in one state of the cores, of ${ours.length}`;
  return [{ subject, parameters, skipped }];
}

/** One case for each state of the cores that there were samples of. */
export function byDistance(
  subject: string,
  parameters: Parameters,
  unit: string,
  samples: readonly Sample[],
): Measured[] {
  const cases: Measured[] = [];
  for (const distance of distances) {
    const own = samples.filter((s) => distanceOf(s) === distance);
    if (own.length === 0) continue;
    cases.push({
      ...measured(
        subject,
        { ...parameters, cores: distance },
        unit,
        own.map((s) => s.value),
      ),
      roundTripNs: own.map((s) => s.roundTripNs),
    });
  }
  return cases;
}
