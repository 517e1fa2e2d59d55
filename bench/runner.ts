// Interleaved measurement: every case takes one sample, then every case the next, so that a machine
// that changes its speed changes it for all of them.
import type { Goal } from "./goal.js";
import { withGoal } from "./ratio.js";
import { type Measured, measured, type Parameters } from "./report.js";

export interface Case {
  readonly subject: string;
  readonly parameters: Parameters;
  readonly unit: string;
  /** In this unit; a goal that is a ratio is ratioOf()'s (ratio.ts). */
  readonly goal?: Goal;
  /** One sample. */
  sample(): number | Promise<number>;
}

export interface RunOptions {
  /** Samples of each case that count. */
  readonly rounds: number;
  /** Samples of each case before, that do not. */
  readonly warmup: number;
  readonly progress?: (done: number, all: number) => void;
}

export async function interleave(cases: readonly Case[], options: RunOptions): Promise<Measured[]> {
  const samples: number[][] = cases.map(() => []);
  const all = options.rounds + options.warmup;
  for (let round = 0; round < all; round++) {
    // The order turns, so that no case always follows the same one.
    for (let i = 0; i < cases.length; i++) {
      const at = (i + round) % cases.length;
      const value = await (cases[at] as Case).sample();
      if (round >= options.warmup) (samples[at] as number[]).push(value);
    }
    options.progress?.(round + 1, all);
  }
  return cases.map((c, i) => {
    const found = measured(c.subject, c.parameters, c.unit, samples[i] as number[]);
    return c.goal ? withGoal(found, c.goal) : found;
  });
}
