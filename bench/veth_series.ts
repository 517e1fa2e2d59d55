// A question about a node over veth: its subjects, sampled round by round.
import { messageOf } from "../src/kit/error.js";
import { reasonOf } from "./programs.js";
import type { Question } from "./questions.js";
import { type Measured, machineFacts, type Skipped } from "./report.js";
import { Entry, find } from "./veth_entry.js";
import type { Outside } from "./veth_net.js";
import { missing, missingPrograms, needsRoot } from "./veth_peers.js";
import { Subject, type SubjectName } from "./veth_subjects.js";

export interface Wish {
  readonly name: SubjectName;
  readonly services: number;
}

/** Opens them one after another. Those that cannot be had here are skipped, with the reason. */
async function withSubjects<T>(
  wishes: readonly Wish[],
  outside: Outside,
  use: (entries: Entry[], skipped: Skipped[]) => Promise<T>,
): Promise<T> {
  const entries: Entry[] = [];
  const skipped: Skipped[] = [];
  const without = missingPrograms();
  try {
    for (const [i, { name, services }] of wishes.entries()) {
      try {
        const why = without.get(name);
        if (why) throw new Error(why);
        const subject = await Subject.open(name, services, i, outside);
        entries.push(new Entry(subject));
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

interface RoundOptions {
  readonly rounds: number;
  /** When the rounds end though there are fewer. */
  readonly secondsMax: number;
  readonly progress: (done: number, all: number) => void;
}

/** Every entry in turn, round after round; the order turns with them. */
async function inRounds(
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

/** A kind of subject with each of these numbers of services. */
export const each = (name: SubjectName, counts: readonly number[]): Wish[] =>
  counts.map((services) => ({ name, services }));

/** Numbers of services; few in a short form. */
export const serviceCounts = (isFull: boolean, isShort: boolean): readonly number[] =>
  isFull ? [1, 1_000, 5_000, 10_000] : isShort ? [100] : [1, 1_000];

export interface SeriesPlan {
  readonly wishes: readonly Wish[];
  /** Of the full form and of the quick one, if none are asked for. */
  readonly rounds: { readonly full: number; readonly quick: number };
  /** The quick form ends after so long with however many rounds it had; one with a number does not. */
  readonly secondsMax: number;
}

export interface Series<P extends SeriesPlan> {
  readonly name: string;
  readonly about: string;
  /** What is said to be skipped when nothing can be measured. */
  readonly subject: SubjectName;
  /** What must be installed beside what the subjects need. */
  readonly programs: readonly string[];
  readonly outside: Outside;
  plan(isFull: boolean, isShort: boolean): P;
  /** Takes a sample of each entry per round: calls `rounds` once. */
  measure(
    entries: readonly Entry[],
    plan: P,
    rounds: (visit: (entry: Entry, round: number) => Promise<void>) => Promise<void>,
  ): Promise<void>;
  cases(entries: readonly Entry[], plan: P): (Measured | Skipped)[];
}

export const seriesQuestion = <P extends SeriesPlan>(series: Series<P>): Question => ({
  name: series.name,
  about: series.about,
  async run({ isFull, rounds, progress }) {
    const question = series.name;
    const unable = needsRoot() ?? missing(series.programs);
    if (unable) {
      const skipped = { subject: series.subject, skipped: unable };
      return { question, machine: machineFacts(), cases: [skipped] };
    }
    const plan = series.plan(isFull, rounds === 1);
    const isOpen = isFull || rounds !== undefined;
    const options = {
      rounds: rounds ?? (isFull ? plan.rounds.full : plan.rounds.quick),
      secondsMax: isOpen ? Number.POSITIVE_INFINITY : plan.secondsMax,
      progress,
    };
    try {
      return await withSubjects(plan.wishes, series.outside, async (entries, skipped) => {
        await series.measure(entries, plan, (visit) => inRounds(entries, options, visit));
        const port = find(entries, "af_xdp")?.subject.facts?.ports[0];
        const machine = machineFacts(port ? { port } : {});
        return { question, machine, cases: [...series.cases(entries, plan), ...skipped] };
      });
    } catch (cause) {
      throw new Error(`bench ${question}: ${messageOf(cause)}`, { cause });
    }
  },
});
