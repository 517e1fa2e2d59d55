// bench memif: packets per second over memif, one way and through the whole corridor, beside testpmd
// with the same sizes, all cases in turn. Two cores work together in every case, so every sample has
// the cores' distance of the moment beside it (cores.ts), and only pairs of equal distance are compared.
import { messageOf } from "../src/kit/error.js";
import { type Sample, sampled } from "./cores.js";
import type { Goal } from "./goal.js";
import { withHugePages } from "./huge_pages.js";
import { CorridorFar, flows, TestpmdFar, throughput } from "./memif_corridor.js";
import { oneWay, sampleMs } from "./memif_one_way.js";
import { copyOptions, type EngineName, isJumbo } from "./memif_ports.js";
import { TestpmdPair } from "./memif_testpmd.js";
import type { Question, QuestionOptions } from "./questions.js";
import { byDistance, ratios } from "./ratio.js";
import {
  type Measured,
  machineFacts,
  type Parameters,
  type Report,
  type Skipped,
} from "./report.js";
import { forwardings, testpmdMissing } from "./testpmd.js";

const sizes = [64, 256, 1500, 9000] as const;
const engines: readonly EngineName[] = ["cpu", "thread", "model"];
const oneWayGoal: Readonly<Record<number, Goal>> = { 64: { atLeast: 1.2 }, 1500: { atLeast: 1.2 } };
const corridorGoal: Readonly<Record<number, Goal>> = { 64: { atLeast: 0.7 } };
const pagesBytes = 2 ** 31;
/** The quick form ends with the round that is under way then. */
const quickMs = 190_000;
const briefMs = 20;

interface Runner {
  readonly subject: string;
  readonly bytes: number;
  readonly parameters: Parameters;
  readonly samples: Sample[];
  /** Millions of packets per second. */
  measure(): Promise<number>;
}

interface Compared {
  readonly subject: string;
  readonly ours: Runner;
  readonly theirs: Runner;
  readonly goal: Goal | undefined;
}

/** What is open for one kind of size: up to a frame, and jumbo. */
interface Stage {
  readonly corridors: ReadonlyMap<EngineName, CorridorFar>;
  readonly pair: TestpmdPair | null;
  readonly testpmd: TestpmdFar | null;
}

type Close = () => Promise<void> | void;

async function openStage(bytes: number, hasTestpmd: boolean, closes: Close[]): Promise<Stage> {
  const corridors = new Map<EngineName, CorridorFar>();
  for (const engine of engines) {
    const far = await CorridorFar.open(engine, bytes);
    closes.push(() => far.close());
    corridors.set(engine, far);
  }
  if (!hasTestpmd) return { corridors, pair: null, testpmd: null };
  const isHuge = true;
  const pair = await TestpmdPair.open(bytes, isHuge).catch(() => TestpmdPair.open(bytes, !isHuge));
  closes.push(() => pair.close());
  const far = await TestpmdFar.open(bytes, isHuge).catch(() => TestpmdFar.open(bytes, !isHuge));
  closes.push(() => far.close());
  return { corridors, pair, testpmd: far };
}

/** All cases of one size; those that are compared stand side by side. */
function runnersOf(bytes: number, ms: number, { corridors, pair, testpmd }: Stage) {
  const runners: Runner[] = [];
  const compared: Compared[] = [];
  const add = (
    subject: string,
    parameters: Parameters,
    measure: () => Promise<number>,
    theirs?: Runner | null,
    goal?: Goal,
  ): Runner => {
    const ours: Runner = { subject, bytes, parameters, samples: [], measure };
    runners.push(ours);
    if (theirs) compared.push({ subject: `${subject} / ${theirs.subject}`, ours, theirs, goal });
    return ours;
  };
  const way = "one way";
  const theirs = pair && add("testpmd", { path: way }, () => pair.oneWay(bytes, ms));
  for (const engine of engines) {
    const copy = copyOptions(engine);
    const goal = engine === "cpu" ? oneWayGoal[bytes] : undefined;
    const one = { path: way, client: "copy", engine };
    add("memif", one, () => oneWay({ bytes, copy, ms }), theirs, goal);
    if (engine === "cpu") {
      const zero = { path: way, client: "zero-copy", engine };
      add("memif", zero, () => oneWay({ bytes, copy, isZeroCopy: true, ms }), theirs);
    }
  }
  const path = "forward";
  const theirWays = forwardings.map(
    (mode) =>
      pair &&
      add("testpmd", { path, client: "testpmd", mode }, () => pair.forward(mode, bytes, ms)),
  );
  for (const engine of engines) {
    const far = corridors.get(engine) as CorridorFar;
    const goal = engine === "cpu" ? corridorGoal[bytes] : undefined;
    const whole = { path, client: "nodeplane", engine, flows, services: 1, family: 4, workers: 1 };
    const ours = add("corridor", whole, () => throughput(far, bytes, ms), theirWays[0], goal);
    const beside = (theirs: Runner): void => {
      compared.push({ subject: "corridor / testpmd", ours, theirs, goal: undefined });
    };
    if (engine !== "cpu" || !testpmd) continue;
    if (theirWays[1]) beside(theirWays[1]);
    for (const mode of forwardings)
      beside(
        add("testpmd", { path, client: "nodeplane", mode }, async () => {
          await testpmd.set(mode);
          return throughput(testpmd, bytes, ms);
        }),
      );
  }
  return { runners, compared };
}

async function named(runner: Runner): Promise<number> {
  try {
    return await runner.measure();
  } catch (cause) {
    const what = JSON.stringify({ ...runner.parameters, bytes: runner.bytes });
    throw new Error(`${runner.subject} ${what}: ${messageOf(cause)}`, { cause });
  }
}

async function measureAll(options: QuestionOptions): Promise<Report> {
  const rounds = options.rounds ?? (options.isFull ? 41 : 13);
  const isBrief = rounds === 1;
  const ms = isBrief ? briefMs : sampleMs;
  const end = performance.now() + (options.isFull ? Number.POSITIVE_INFINITY : quickMs);
  const closes: Close[] = [];
  const skipped: Skipped[] = [];
  try {
    const missing = testpmdMissing();
    if (missing) skipped.push({ subject: "testpmd", skipped: missing });
    const stages = new Map<boolean, Stage>();
    for (const bytes of [sizes[0], 9000])
      stages.set(isJumbo(bytes), await openStage(bytes, !missing, closes));
    const all = sizes.map((bytes) => runnersOf(bytes, ms, stages.get(isJumbo(bytes)) as Stage));
    const runners = all.flatMap((a) => a.runners);
    for (let round = isBrief ? 1 : 0; round <= rounds && performance.now() < end; round++) {
      for (let i = 0; i < runners.length; i++) {
        const runner = runners[(i + round) % runners.length] as Runner;
        const sample = await sampled(() => named(runner));
        if (round > 0) runner.samples.push(sample); // the first one warms up
      }
      options.progress(round + 1, rounds + 1);
    }
    const figures: Measured[] = runners.flatMap((r) =>
      byDistance(r.subject, { ...r.parameters, bytes: r.bytes }, "Mpps", r.samples),
    );
    const compared = all
      .flatMap((a) => a.compared)
      .flatMap(({ subject, ours, theirs, goal }) => {
        const { client = "testpmd", mode } = theirs.parameters;
        const beside = mode ? `${client} ${mode}` : client;
        const parameters = { ...ours.parameters, beside, bytes: ours.bytes };
        return ratios(subject, parameters, ours.samples, theirs.samples, goal);
      });
    return {
      question: "memif",
      machine: machineFacts(),
      cases: [...figures, ...compared, ...skipped],
      notes: [
        "cores: near when a cache line's round trip between the two cores is below 150 ns, else far; ratios are of pairs in one state",
        "engines thread and model copy on the other core, which also drives the client: with a core of their own they would do better",
        "every sample's books were compared: nothing was lost that nobody counted",
      ],
    };
  } finally {
    for (const close of closes.reverse()) await close();
  }
}

export const memif: Question = {
  name: "memif",
  about: "packets per second over memif, one way and through the corridor, beside testpmd",
  run: (options) => withHugePages(pagesBytes, () => measureAll(options)),
};
