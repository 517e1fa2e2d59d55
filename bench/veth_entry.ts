// A subject of bench veth and its samples.
import { roundTrip, type Sample } from "./cores.js";
import { type Measured, measured, type Parameters } from "./report.js";
import type { Subject, SubjectName } from "./veth_subjects.js";

export interface Found {
  readonly values: Readonly<Record<string, number>>;
  /** What others took of the machine; figures of processor time are not theirs to disturb. */
  readonly others: number;
}

const isOfTime = (figure: string): boolean => figure.includes("CPU");

/** A subject and its samples; `key` tells their kinds apart. */
export class Entry {
  readonly #figures = new Map<string, Sample[]>();

  constructor(readonly subject: Subject) {}

  /** One sample of each figure, with the round trips around them. */
  async take(key: string, measure: () => Promise<Found>): Promise<void> {
    const before = roundTrip();
    const { values, others } = await measure();
    const roundTripNs = [before, roundTrip()] as const;
    for (const [figure, value] of Object.entries(values)) {
      const name = `${key} ${figure}`;
      const samples = this.#figures.get(name) ?? [];
      samples.push({ value, roundTripNs, others: isOfTime(figure) ? 0 : others });
      this.#figures.set(name, samples);
    }
  }

  samples(key: string, figure: string): readonly Sample[] {
    return this.#figures.get(`${key} ${figure}`) ?? [];
  }

  /** All samples of one figure, whatever the cores' state: that is beside them. */
  cases(key: string, figure: string, parameters: Parameters): Measured[] {
    const samples = this.samples(key, figure);
    if (samples.length === 0) return [];
    const values = samples.map((s) => s.value);
    const roundTripNs = samples.map((s) => s.roundTripNs);
    return [{ ...measured(this.subject.name, parameters, figure, values), roundTripNs }];
  }
}

export const find = (
  entries: readonly Entry[],
  name: SubjectName,
  services?: number,
): Entry | undefined =>
  entries.find(
    ({ subject }) =>
      subject.name === name && (services === undefined || subject.services === services),
  );
