// Samples of subjects over veth, round by round, and what is made of them.
import { roundTrip, type Sample } from "./cores.js";
import { reasonOf } from "./programs.js";
import { type Measured, measured, type Parameters, type Skipped } from "./report.js";
import type { Outside } from "./veth_net.js";
import { missingPrograms } from "./veth_peers.js";
import { Subject, type SubjectName } from "./veth_subjects.js";

/** A subject and what it is told apart by. */
export interface Entry {
  readonly subject: Subject;
  /** Of each figure: one sample per round. */
  readonly figures: Map<string, Sample[]>;
}

export interface Wish {
  readonly name: SubjectName;
  readonly services: number;
}

/** Opens them one after another. Those that cannot be had here are skipped, with the reason. */
export async function withSubjects<T>(
  wishes: readonly Wish[],
  outside: Outside,
  use: (entries: Entry[], skipped: Skipped[]) => Promise<T>,
): Promise<T> {
  const entries: Entry[] = [];
  const skipped: Skipped[] = [];
  const missing = missingPrograms();
  try {
    for (const [i, { name, services }] of wishes.entries()) {
      try {
        const why = missing.get(name);
        if (why) throw new Error(why);
        const subject = await Subject.open(name, services, i, outside);
        entries.push({ subject, figures: new Map() });
      } catch (cause) {
        skipped.push({ subject: name, parameters: { services }, skipped: reasonOf(cause) });
      }
    }
    if (entries.length === 0) throw new Error(skipped[0]?.skipped ?? "no subject");
    return await use(entries, skipped);
  } finally {
    for (const { subject } of entries) await subject.close();
  }
}

export interface Found {
  readonly values: Readonly<Record<string, number>>;
  /** What others took of the machine; figures of processor time are not theirs to disturb. */
  readonly others: number;
}

const isOfTime = (figure: string): boolean => figure.includes("CPU");

/** One sample of each figure, with the round trips around them. `key` tells kinds of samples apart. */
export async function take(
  entry: Entry,
  key: string,
  measure: () => Promise<Found>,
): Promise<void> {
  const before = roundTrip();
  const { values, others } = await measure();
  const roundTripNs = [before, roundTrip()] as const;
  for (const [figure, value] of Object.entries(values)) {
    const name = `${key} ${figure}`;
    const samples = entry.figures.get(name) ?? [];
    samples.push({ value, roundTripNs, others: isOfTime(figure) ? 0 : others });
    entry.figures.set(name, samples);
  }
}

export interface RoundOptions {
  readonly rounds: number;
  /** When the rounds end though there are fewer. */
  readonly secondsMax: number;
  readonly progress: (done: number, all: number) => void;
}

/** Every entry in turn, round after round; the order turns with them. */
export async function inRounds(
  entries: readonly Entry[],
  { rounds, secondsMax, progress }: RoundOptions,
  visit: (entry: Entry, round: number) => Promise<void>,
): Promise<void> {
  const until = performance.now() + secondsMax * 1000;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < entries.length; i++)
      await visit(entries[(i + round) % entries.length] as Entry, round);
    progress(round + 1, rounds);
    if (performance.now() > until) return;
  }
}

export const samplesOf = (entry: Entry, key: string, figure: string): readonly Sample[] =>
  entry.figures.get(`${key} ${figure}`) ?? [];

/** All samples of one figure, whatever the cores' state: that is beside them. */
export function figureCase(
  entry: Entry,
  key: string,
  figure: string,
  parameters: Parameters,
): Measured[] {
  const samples = samplesOf(entry, key, figure);
  if (samples.length === 0) return [];
  const values = samples.map((s) => s.value);
  return [
    {
      ...measured(entry.subject.name, parameters, figure, values),
      roundTripNs: samples.map((s) => s.roundTripNs),
    },
  ];
}

export const find = (
  entries: readonly Entry[],
  name: SubjectName,
  services: number,
): Entry | undefined =>
  entries.find((e) => e.subject.name === name && e.subject.services === services);

/** The quick form ends after so long with however many rounds it had; one with a number does not. */
export const secondsMax = (isFull: boolean, rounds: number | undefined, quick: number): number =>
  isFull || rounds !== undefined ? Number.POSITIVE_INFINITY : quick;
