// A question that laps of dataplanes answer: its settings, the cases of their laps, and the goals.
import { type LapSetting, type OpenLap, withLaps } from "./laps.js";
import { machineFacts } from "./machine.js";
import type { Question } from "./questions.js";
import type { Measured } from "./report.js";
import { type Case, interleave } from "./runner.js";

/** Rounds before those that count. */
export const lapWarmup = 3;
/** Rounds of laps, if none are asked for. */
export const lapRounds = { quick: 31, full: 61 } as const;

export interface LapQuestion<S extends LapSetting> {
  readonly name: string;
  readonly about: string;
  readonly settings: readonly S[];
  /** What the full form has besides. */
  readonly more?: readonly S[];
  readonly rounds?: { readonly quick: number; readonly full: number };
  cases(laps: readonly (OpenLap & { setting: S })[]): Case[];
  /** Throws when the laps left what they may not leave. */
  check?(laps: readonly (OpenLap & { setting: S })[]): void;
  /** With goals, and ratios behind them. */
  judged(cases: readonly Measured[]): readonly Measured[];
}

export const lapQuestion = <S extends LapSetting>(asked: LapQuestion<S>): Question => ({
  name: asked.name,
  about: asked.about,
  async run({ isFull, rounds, progress }) {
    const settings = [...asked.settings, ...(isFull ? (asked.more ?? []) : [])];
    const form = isFull ? "full" : "quick";
    return withLaps(`bench-${asked.name}`, settings, async (laps) => {
      const measured = await interleave(asked.cases(laps), {
        rounds: rounds ?? (asked.rounds ?? lapRounds)[form],
        warmup: lapWarmup,
        progress,
      });
      asked.check?.(laps);
      const hugePagesUsed = laps[0]?.dataplane.info().hugePages ?? false;
      return {
        question: asked.name,
        machine: machineFacts({ hugePagesUsed }),
        cases: asked.judged(measured),
      };
    });
  },
});
