// Goals: what the median of a ratio or of a figure should be, and whether it is.

/** Exactly one of the two. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** `open`: the samples do not tell yet. */
export type Verdict = "met" | "open" | "MISSED";

/** Fewer samples never speak for a goal. */
export const samplesMin = 15;

/** Met or missed is a goal only when the whole 95 % interval of the median lies on one side of it. */
export function verdict(goal: Goal, interval: readonly [number, number], samples: number): Verdict {
  if (samples < samplesMin) return "open";
  const [low, high] = interval;
  if ("atLeast" in goal)
    return low >= goal.atLeast ? "met" : high < goal.atLeast ? "MISSED" : "open";
  return high <= goal.atMost ? "met" : low > goal.atMost ? "MISSED" : "open";
}

export const goalText = (goal: Goal): string =>
  "atLeast" in goal ? `at least ${goal.atLeast}` : `at most ${goal.atMost}`;
