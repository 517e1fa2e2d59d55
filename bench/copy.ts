// bench copy: what a memif server's copies leave on the worker's core, by engine. In turns, so that
// two cores suffice: the other core fills the ring with fresh data and stops, then the worker empties
// it through the real port while an engine's thread has the other core for itself (copy_lap.ts).
import { nativeQueue } from "../src/runtime/copy.js";
import type { NativeDsaQueue } from "../src/runtime/native.js";
import { chooseDsaQueues } from "../src/sys/dsa.js";
import { calibrate } from "./calibrate.js";
import { CopyLaps, lapPackets, TestpmdLaps, turnNs, type Way } from "./copy_lap.js";
import { roundTrip, type Sample, sampled } from "./cores.js";
import { withHugePages } from "./huge_pages.js";
import { copyOptions, type EngineName, isJumbo } from "./memif_ports.js";
import type { Question, QuestionOptions } from "./questions.js";
import { byDistance, ratios } from "./ratio.js";
import { type Measured, machineFacts, type Report, type Skipped } from "./report.js";
import { testpmdMissing } from "./testpmd.js";

const sizes = [64, 256, 512, 1500, 9000] as const;
/** Throughput that Calico/VPP publishes with DSA, over without. */
const gainGoal: Readonly<Record<number, number>> = { 1500: 2.33, 9000: 2.63 };
const pageBytes = 1 << 30;

interface Runner {
  readonly subject: string;
  readonly engine: string;
  readonly way: Way;
  readonly bytes: number;
  readonly samples: Sample[];
  /** ns of the worker per packet. */
  measure(): number | Promise<number>;
}

interface Engines {
  readonly names: readonly EngineName[];
  readonly queues: NativeDsaQueue[];
  readonly skipped: Skipped[];
}

function enginesHere(): Engines {
  const { queues, why } = chooseDsaQueues([]);
  const names: EngineName[] = ["cpu", "thread", "model"];
  if (queues.length > 0)
    return { names: [...names, "dsa"], queues: queues.map(nativeQueue), skipped: [] };
  const skipped = [{ subject: "nodeplane", parameters: { engine: "dsa" }, skipped: why }];
  return { names, queues: [], skipped };
}

function ourRunners({ names, queues }: Engines, laps: number, open: CopyLaps[]): Runner[] {
  return sizes.flatMap((bytes) =>
    names.flatMap((engine) => {
      const lap = new CopyLaps(bytes, copyOptions(engine, { queues }));
      open.push(lap);
      return (["receive", "send"] as const).map((way) => ({
        subject: "nodeplane",
        engine,
        way,
        bytes,
        samples: [],
        measure: () => {
          const { busyNs, packets } = lap.lap(way, laps);
          return busyNs / packets;
        },
      }));
    }),
  );
}

async function testpmdRunners(laps: number, open: TestpmdLaps[]): Promise<Runner[]> {
  const runners: Runner[] = [];
  for (const group of [sizes.filter((b) => !isJumbo(b)), sizes.filter(isJumbo)]) {
    const pair = await TestpmdLaps.open(group[0] as number, true).catch(() =>
      TestpmdLaps.open(group[0] as number, false),
    );
    open.push(pair);
    for (const bytes of group) {
      const measure = () => pair.lap(bytes, laps);
      runners.push({
        subject: "testpmd",
        engine: "cpu",
        way: "receive",
        bytes,
        samples: [],
        measure,
      });
    }
  }
  return runners;
}

function compare(runners: readonly Runner[], engines: readonly EngineName[]) {
  const find = (subject: string, engine: string, way: Way, bytes: number): readonly Sample[] =>
    runners.find(
      (r) => r.subject === subject && r.engine === engine && r.way === way && r.bytes === bytes,
    )?.samples ?? [];
  const cases: (Measured | Skipped)[] = [];
  for (const way of ["receive", "send"] as const) {
    for (const bytes of sizes) {
      const cpu = find("nodeplane", "cpu", way, bytes);
      const goal = way === "receive" ? gainGoal[bytes] : undefined;
      for (const engine of engines.slice(1)) {
        const parameters = { way, bytes, engine };
        const own = find("nodeplane", engine, way, bytes);
        cases.push(
          ...ratios("cpu / engine", parameters, cpu, own, goal ? { atLeast: goal } : undefined),
        );
      }
      const theirs = find("testpmd", "cpu", way, bytes);
      if (theirs.length > 0)
        cases.push(
          ...ratios(
            "testpmd / cpu",
            { way, bytes },
            theirs,
            cpu,
            goal ? { atLeast: 1 } : undefined,
          ),
        );
    }
  }
  return cases;
}

async function measureAll(options: QuestionOptions): Promise<Report> {
  const rounds = options.rounds ?? (options.isFull ? 41 : 15);
  const laps = options.isFull ? 9 : 5;
  const engines = enginesHere();
  const skipped = [...engines.skipped];
  const ours: CopyLaps[] = [];
  const theirs: TestpmdLaps[] = [];
  try {
    const runners = ourRunners(engines, laps, ours);
    const missing = testpmdMissing();
    if (missing) skipped.push({ subject: "testpmd", skipped: missing });
    else runners.push(...(await testpmdRunners(laps, theirs)));
    // Sizes side by side, ways apart: what is compared is measured at nearly the same time.
    runners.sort((a, b) => a.way.localeCompare(b.way) || a.bytes - b.bytes);
    for (let round = 0; round <= rounds; round++) {
      for (let i = 0; i < runners.length; i++) {
        const runner = runners[(i + round) % runners.length] as Runner;
        const sample = await sampled(() => runner.measure());
        if (round > 0) runner.samples.push(sample); // the first one warms up
      }
      options.progress(round + 1, rounds + 2);
    }
    const figures = runners.flatMap((r) =>
      byDistance(
        r.subject,
        { way: r.way, bytes: r.bytes, engine: r.engine },
        "ns/packet",
        r.samples,
      ),
    );
    const { cases, recommended } = calibrate(
      engines.names,
      engines.queues,
      options.rounds ?? (options.isFull ? 25 : 9),
    );
    return {
      question: "copy",
      machine: machineFacts({
        roundTripNs: Math.round(roundTrip()),
        packetsPerLap: lapPackets,
        turnNs,
      }),
      cases: [...figures, ...compare(runners, engines.names), ...cases, ...skipped],
      notes: [
        "measured: all that the worker's core executes (descriptors, submit, poll, rings, frames; with cpu the copies), by the CPU's tick counter, turns that found nothing left out",
        "modelled: with engine model the device alone (its latency and bandwidth; a thread on the other core moves the bytes); a real device's cache and memory traffic is not",
      ],
      recommended,
    };
  } finally {
    for (const lap of ours) lap.close();
    for (const lap of theirs) await lap.close();
  }
}

export const copy: Question = {
  name: "copy",
  about:
    "ns per packet that a memif server's copies leave on the worker core, by engine; calibration",
  run: (options) => withHugePages(pageBytes, () => measureAll(options)),
};
