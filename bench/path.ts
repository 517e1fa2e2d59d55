// bench path: what the corridor costs in memory, without I/O. Established TCP flows, 64-byte packets
// of flows drawn at random and laid into 8,192 frames between timed laps; every record field, counter
// and state kept, the keyed hash on. Packets are of the original direction; with `both`, every second
// batch is answers; with `silent`, no packet of theirs came for longer than the shortest timer. Beside it
// the same lap without a corridor (`empty`), one random line read per packet over as many bytes as the
// flow table has (`floor`), DPDK's rte_hash alone and the corridor with other kernels.
import type { LapWhat } from "../src/runtime/native.js";
import type { Goal } from "./goal.js";
import { openKernelLaps } from "./kernel_laps.js";
import { lapRounds, lapWarmup } from "./lap_question.js";
import { findCase, type LapSetting, lapCase, withLaps } from "./laps.js";
import { machineFacts } from "./machine.js";
import { pinnedTo } from "./pin.js";
import type { Question } from "./questions.js";
import { ratioOf, withGoal } from "./ratio.js";
import type { Measured, Parameters, Report } from "./report.js";
import { betterBulk, openRteHash, rteHashBytes } from "./rte_hash.js";
import { interleave } from "./runner.js";

const unit = "ns/packet";
const of = (flows: number, family: 4 | 6 = 4, services = 1): LapSetting => ({
  flows,
  services,
  family,
});
/** Answers are asked for, too. */
const answered = (flows: number): LapSetting => ({ ...of(flows), backward: true });
const headline = [of(1_000), of(10_000), of(100_000), answered(1_000_000)];
const beside = [of(100_000, 4, 5_000), of(1_000, 6), of(100_000, 6)];
const full = [
  of(1_000, 4, 5_000),
  of(1_000_000, 4, 5_000),
  of(1_000_000, 6),
  of(4_000_000),
  answered(16_000_000),
];

/** ns per packet. */
const goals: Readonly<Record<number, number>> = { 1000: 15, 10000: 17, 100000: 25 };
const floorGoal = { atMost: 5 };
const rteHashGoal = { atMost: 1 };
const rteHashEntries = 2 ** 20;
const million = { flows: 1_000_000, services: 1, family: 4 };
/** Against 1 M flows. */
const growthGoals: Readonly<Record<number, number>> = { 4000000: 1.4, 16000000: 2 };
const familyGoal = { atMost: 1.4 };

/** What is asked only where there are very many flows. */
const isOfMany = (what: LapWhat): boolean => what === "both" || what === "silent";
const isHeadline = (p: Parameters): boolean => p.services === 1 && p.family === 4;

function goalsOfFigures(cases: readonly Measured[]): Measured[] {
  return cases.map((c) => {
    const goal = goals[Number(c.parameters.flows)];
    const judged = c.subject === "corridor" && isHeadline(c.parameters) && goal !== undefined;
    return judged ? withGoal(c, { atMost: goal }) : c;
  });
}

/** Pairs of the same rounds; nothing where one was not measured. */
function ratiosOf(cases: readonly Measured[]): Measured[] {
  const corridor = (p: Parameters) => findCase(cases, "corridor", p);
  const found: Measured[] = [];
  const add = (
    subject: string,
    parameters: Parameters,
    ours: Measured | undefined,
    theirs: Measured | undefined,
    goal?: Goal,
  ): void => {
    if (ours && theirs) found.push(ratioOf(subject, parameters, ours, theirs, goal));
  };
  const ours = corridor(million);
  add("corridor / floor", million, ours, findCase(cases, "floor", million), floorGoal);
  const peer = betterBulk(cases, rteHashEntries);
  add("corridor / rte_hash", million, ours, peer, rteHashGoal);
  for (const [flows, atMost] of Object.entries(growthGoals)) {
    const grown = { ...million, flows: Number(flows) };
    add("corridor / corridor of 1 M", grown, corridor(grown), ours, { atMost });
  }
  const both = (flows: number) => findCase(cases, "both", { ...million, flows });
  const many = 16_000_000;
  add("both / both of 1 M", { ...million, flows: many }, both(many), both(1_000_000));
  for (const flows of [1_000, 100_000, 1_000_000]) {
    const six = { flows, services: 1, family: 6 };
    add("IPv6 / IPv4", six, corridor(six), corridor({ ...six, family: 4 }), familyGoal);
  }
  return found;
}

export const path: Question = {
  name: "path",
  about: "ns per packet of the whole corridor in memory, for 1 k to 1 M established flows",
  async run({ isFull, rounds, progress }): Promise<Report> {
    const settings = [...headline, ...beside, ...(isFull ? full : [])];
    const run = withLaps(
      "bench-path",
      settings,
      async (laps) => {
        const rteHash = await openRteHash([rteHashEntries]);
        const kernels = await openKernelLaps(of(100_000));
        try {
          const own = laps.flatMap((open) =>
            (["corridor", "both", "silent", "empty", "floor"] as const)
              .filter((what) => !isOfMany(what) || open.setting.backward)
              .map((what) => lapCase(open, what, what, unit)),
          );
          const measured = await interleave([...own, ...rteHash.cases, ...kernels.cases], {
            rounds: rounds ?? lapRounds[isFull ? "full" : "quick"],
            warmup: lapWarmup,
            progress,
          });
          const info = laps[0]?.dataplane.info();
          return {
            question: "path",
            machine: machineFacts({
              hugePagesUsed: info?.hugePages ?? false,
              framesPerLap: 8192,
              pinnedTo: pinnedTo(),
            }),
            cases: [
              ...goalsOfFigures(measured),
              ...ratiosOf(measured),
              ...kernels.gains(measured),
              ...rteHash.skipped,
            ],
          };
        } finally {
          await kernels.close();
          await rteHash.close();
        }
      },
      rteHashBytes([rteHashEntries]),
    );
    return run;
  },
};
