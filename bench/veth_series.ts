// A question about a node over veth: its subjects, sampled round by round.
import { messageOf } from "../src/kit/error.js";
import { samplesMin } from "./goal.js";
import { reasonOf } from "./programs.js";
import type { Question } from "./questions.js";
import { type Measured, machineFacts, type Skipped } from "./report.js";
import { type Comparison, compared, isSettled } from "./veth_compare.js";
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
      await new Promise(setImmediate); // an interrupt is heard here: to put up rules waits for nothing
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

/** Samples that are compared with each other are taken one right after the other. */
export interface Group {
  /** In each so many-th round. */
  readonly every: number;
  readonly steps: readonly ((round: number) => Promise<void>)[];
}

interface RoundOptions {
  /** At least, and more while something is not told; exactly, if they were asked for. */
  readonly rounds: number;
  readonly isExact: boolean;
  /** When the rounds end though there are fewer. */
  readonly secondsMax: number;
  readonly progress: (done: number, all: number) => void;
}

/** Groups in turn, the order turning with the rounds; within a group to and fro. */
async function inRounds(
  groups: readonly Group[],
  { rounds, isExact, secondsMax, progress }: RoundOptions,
  isTold: () => boolean,
): Promise<void> {
  const until = performance.now() + secondsMax * 1000;
  for (let round = 0; round < rounds || !(isExact || isTold()); round++) {
    for (let i = 0; i < groups.length; i++) {
      const { every, steps } = groups[(i + round) % groups.length] as Group;
      if (round % every !== 0) continue;
      for (const step of round % 2 === 0 ? steps : [...steps].reverse()) await step(round);
    }
    if (round < rounds) progress(round + 1, rounds);
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
  /** Of rounds: the last one begins before. One with a number of them does not look at the clock. */
  readonly secondsMax: number;
}

/** Rounds, if none are asked for: enough for a goal when the cores keep their state. */
const roundsMin = samplesMin + 1;

export interface Series<P extends SeriesPlan> {
  readonly name: string;
  readonly about: string;
  /** What is said to be skipped when nothing can be measured. */
  readonly subject: SubjectName;
  /** What must be installed beside what the subjects need. */
  readonly programs: readonly string[];
  readonly outside: Outside;
  plan(isFull: boolean, isShort: boolean): P;
  /** Calls `rounds` once. */
  measure(
    entries: readonly Entry[],
    plan: P,
    rounds: (groups: readonly Group[]) => Promise<void>,
  ): Promise<void>;
  compare(entries: readonly Entry[], plan: P): Comparison[];
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
    const options = {
      rounds: rounds ?? roundsMin,
      isExact: rounds !== undefined,
      secondsMax: rounds === undefined ? plan.secondsMax : Number.POSITIVE_INFINITY,
      progress,
    };
    try {
      return await withSubjects(plan.wishes, series.outside, async (entries, skipped) => {
        const comparisons = series.compare(entries, plan);
        const isAllTold = () => comparisons.every(isSettled);
        await series.measure(entries, plan, (groups) => inRounds(groups, options, isAllTold));
        const port = find(entries, "af_xdp")?.subject.facts?.ports[0];
        const machine = machineFacts(port ? { port } : {});
        const cases = [
          ...series.cases(entries, plan),
          ...comparisons.flatMap(compared),
          ...skipped,
        ];
        return { question, machine, cases };
      });
    } catch (cause) {
      throw new Error(`bench ${question}: ${messageOf(cause)}`, { cause });
    }
  },
});
