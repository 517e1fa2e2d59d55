// What two subjects of bench veth are compared by.
import type { Goal } from "./goal.js";
import { isTold, ratios } from "./ratio.js";
import type { Measured, Parameters, Skipped } from "./report.js";
import type { Entry } from "./veth_entry.js";

/** Samples of one kind. */
export interface Side {
  readonly entry: Entry;
  readonly key: string;
}

/** Sample i of one side was taken right before or after sample i of the other. */
export interface Comparison {
  readonly subject: string;
  readonly parameters: Parameters;
  readonly ours: Side;
  readonly theirs: Side;
  /** Each with its goal, if it has one. */
  readonly figures: Readonly<Record<string, Goal | undefined>>;
}

const samples = ({ entry, key }: Side, figure: string) => entry.samples(key, figure);

/** Whether there are pairs enough for its goals. */
export const isSettled = ({ ours, theirs, figures }: Comparison): boolean =>
  Object.entries(figures).every(
    ([figure, goal]) => !goal || isTold(samples(ours, figure), samples(theirs, figure)),
  );

export const compared = (c: Comparison): (Measured | Skipped)[] =>
  Object.entries(c.figures).flatMap(([figure, goal]) => {
    const [ours, theirs] = [samples(c.ours, figure), samples(c.theirs, figure)];
    if (ours.length === 0 || theirs.length === 0) return [];
    return ratios(c.subject, { ...c.parameters, of: figure }, ours, theirs, goal);
  });
