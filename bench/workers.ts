// bench workers: two workers on one flow table against one, each with its own frames and batch, on
// cores 0 and 1, beginning each lap together. Established flows whose both directions come to one
// worker (`own`) or to different ones (`split`), and new flows; beside them random lines read (`floor`).
import { cpus } from "node:os";
import type { LapDraw, LapWhat } from "../src/runtime/native.js";
import { otherCore, roundTrip, type Sample, sampled, workerCore } from "./cores.js";
import { type LapSetting, lapParameters, type OpenLap, withLaps } from "./laps.js";
import { machineFacts } from "./machine.js";
import type { Question, QuestionOptions } from "./questions.js";
import { byDistance, ratios } from "./ratio.js";
import type { Parameters, Report } from "./report.js";

const goal = { atLeast: 1.9 };
/** Laps of one sample; 8,192 packets each. */
const laps = { corridor: 24, new: 8, floor: 24 } as const;

const of = (flows: number): LapSetting => ({
  flows,
  services: 1,
  family: 4,
  workers: 2,
  room: true,
  backward: true,
});

interface Contest {
  readonly open: OpenLap;
  readonly what: keyof typeof laps;
  readonly steering: "own" | "split";
  readonly one: Sample[];
  readonly two: Sample[];
}

/** Who gets which packets; `one` gets all that the two get together. */
const draws: Readonly<Record<Contest["steering"], { one: LapDraw; two: readonly LapDraw[] }>> = {
  own: {
    one: { first: 0, stride: 1, way: "both" },
    two: [
      { first: 0, stride: 2, way: "both" },
      { first: 1, stride: 2, way: "both" },
    ],
  },
  split: {
    one: { first: 0, stride: 1, way: "both" },
    two: [
      { first: 0, stride: 1, way: "forward" },
      { first: 0, stride: 1, way: "backward" },
    ],
  },
};

/** Packets or connections per second, in millions, of workers that took so many ns for each. */
const rate = (ns: readonly number[]): number => ns.reduce((sum, each) => sum + 1000 / each, 0);

function together(c: Contest, who: readonly LapDraw[], cores: readonly number[]): number {
  return rate(c.open.lap.together(c.what as LapWhat, [...who], [...cores], laps[c.what]));
}

async function measure(c: Contest): Promise<void> {
  const { one, two } = draws[c.steering];
  // Half on each core, the other one idle: cores of a virtual machine are not always equal.
  const alone = await sampled(
    () => (together(c, [one], [workerCore]) + together(c, [one], [otherCore])) / 2,
  );
  c.one.push(alone);
  c.two.push(await sampled(() => together(c, two, [workerCore, otherCore])));
}

function contestsOf(open: OpenLap): Contest[] {
  const contest = (what: Contest["what"], steering: Contest["steering"]) => ({
    open,
    what,
    steering,
    one: [],
    two: [],
  });
  return [
    contest("corridor", "own"),
    contest("corridor", "split"),
    contest("new", "own"),
    contest("floor", "own"),
  ];
}

const subjects = { corridor: "established", new: "new flows", floor: "floor" } as const;
const subjectOf = (c: Contest): string => subjects[c.what];
const parametersOf = (c: Contest, workers: number): Parameters => ({
  ...lapParameters(c.open),
  workers,
  ...(c.what === "corridor" ? { steering: c.steering } : {}),
});

async function measureAll(
  contests: readonly Contest[],
  { isFull, rounds, progress }: QuestionOptions,
): Promise<void> {
  const all = rounds ?? (isFull ? 61 : 31);
  for (let round = 0; round <= all; round++) {
    for (let i = 0; i < contests.length; i++)
      await measure(contests[(i + round) % contests.length] as Contest);
    if (round === 0) for (const c of contests) c.one.length = c.two.length = 0; // warmed up
    progress(round + 1, all + 1);
  }
}

export const workers: Question = {
  name: "workers",
  about: "two workers on one flow table against one: established and new flows",
  async run(options): Promise<Report> {
    if (cpus().length < 2)
      return {
        question: "workers",
        machine: machineFacts(),
        cases: [{ subject: "established", skipped: "two workers need two cores" }],
      };
    return withLaps("bench-workers", [of(100_000), of(1_000_000)], async (open) => {
      const contests = open.flatMap(contestsOf);
      await measureAll(contests, options);
      return {
        question: "workers",
        machine: machineFacts({ roundTripNs: Math.round(roundTrip()) }),
        cases: contests.flatMap((c) => {
          const unit = c.what === "new" ? "M/s" : "Mpps";
          const aim = c.what === "floor" ? undefined : goal;
          return [
            ...byDistance(subjectOf(c), parametersOf(c, 1), unit, c.one),
            ...byDistance(subjectOf(c), parametersOf(c, 2), unit, c.two),
            ...ratios(`${subjectOf(c)}: two / one`, parametersOf(c, 2), c.two, c.one, aim),
          ];
        }),
      };
    });
  },
};
