// bench gap: how long a busy worker is away from its ports: the time of its turns (a batch of 256
// packets of known flows, a quiescent point, expiry), with nothing else going on, while flows expire
// that nobody hits, and while JavaScript's thread publishes services.
import { cpus } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { Model } from "../src/model/model.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { type LapTurns, type NativeLap, nativeModule } from "../src/runtime/native.js";
import { oneChanged } from "./control.js";
import { otherCore } from "./cores.js";
import { withHugePages } from "./huge_pages.js";
import { benchModel, packServices } from "./model.js";
import type { Question, QuestionOptions } from "./questions.js";
import { withGoal } from "./ratio.js";
import { type Measured, machineFacts, measured, type Parameters } from "./report.js";

/** us. */
const growthGoal = { atMost: 100 };
const expiriesPerSecond = 1_100_000;
/** Services that flows go to; no change is among them. */
const hitServices = 1_000;
const publishEveryMs = 200;
/** A flow with its share of the index and the lap's equal bytes, spare included. */
const flowBytes = 600;
const setupBytes = 512 << 20;
const figures = { p50: "p50", p99: "p99", p9999: "p99.99", max: "longest" } as const;
type Figure = keyof typeof figures;

interface Shape {
  readonly known: number;
  readonly services: number;
  /** Of them, those that a transaction adds the others to. */
  readonly few: number;
  /** Of turns, at least. */
  readonly seconds: number;
  readonly rounds: number;
}

function shapeOf({ isFull, rounds }: QuestionOptions): Shape {
  if (rounds === 1)
    return { known: 100_000, services: 10_000, few: hitServices, seconds: 0.1, rounds };
  const known = 1_000_000;
  return isFull
    ? { known, services: 200_000, few: hitServices, seconds: 1, rounds: rounds ?? 31 }
    : { known, services: 100_000, few: 50_000, seconds: 0.15, rounds: rounds ?? 15 };
}

interface Bench {
  readonly shape: Shape;
  readonly lap: NativeLap;
  readonly dataplane: Dataplane;
  readonly models: { readonly few: Model; readonly one: Model; readonly many: Model };
}

/** What goes on beside a worker, and the figures that it may not raise. */
interface Kind {
  readonly name: string;
  readonly parameters: (shape: Shape) => Parameters;
  readonly judged: readonly Figure[];
  readonly sample: (bench: Bench) => LapTurns | Promise<LapTurns>;
}

const quiet = ({ lap, shape }: Bench, expiring: number): LapTurns => {
  lap.beginTurns(shape.seconds, expiring, otherCore);
  return lap.endTurns();
};

/** One service among all, again and again. */
async function publishOnes({ lap, shape, dataplane, models }: Bench): Promise<LapTurns> {
  lap.beginTurns(shape.seconds, 0, otherCore);
  const end = performance.now() + shape.seconds * 1000;
  do {
    for (const model of [models.one, models.many]) {
      await pause(publishEveryMs);
      dataplane.apply(model);
    }
  } while (performance.now() < end);
  return lap.endTurns();
}

function publishAll({ lap, shape, dataplane, models }: Bench): LapTurns {
  dataplane.apply(models.few);
  lap.beginTurns(shape.seconds, 0, otherCore);
  dataplane.apply(models.many);
  return lap.endTurns();
}

const alone: Kind = {
  name: "alone",
  parameters: () => ({}),
  judged: [],
  sample: (b) => quiet(b, 0),
};
const others: readonly Kind[] = [
  {
    name: "expiry",
    parameters: () => ({ expiriesPerSecond }),
    judged: ["p9999"],
    sample: (bench) => quiet(bench, expiriesPerSecond),
  },
  {
    name: "one service changes",
    parameters: ({ services }) => ({ services }),
    judged: ["p9999", "max"],
    sample: publishOnes,
  },
  {
    name: "transaction",
    parameters: ({ services, few }) => ({ services, from: few }),
    // The longest of many more turns than are taken alone would be longer by that.
    judged: ["p9999"],
    sample: publishAll,
  },
];

const kinds = [alone, ...others];
type Samples = ReadonlyMap<Kind, LapTurns[]>;

async function measure(bench: Bench, options: QuestionOptions): Promise<Samples> {
  const { rounds } = bench.shape;
  const samples = new Map<Kind, LapTurns[]>(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < kinds.length; i++) {
      const kind = kinds[(i + round) % kinds.length] as Kind;
      samples.get(kind)?.push(await kind.sample(bench));
    }
    options.progress(round + 1, rounds);
  }
  return samples;
}

function casesOf(samples: Samples, shape: Shape): Measured[] {
  const us = (kind: Kind, figure: Figure) =>
    (samples.get(kind) as LapTurns[]).map((turns) => turns[figure] / 1000);
  const all = Object.keys(figures) as Figure[];
  const parametersOf = (kind: Kind, figure: Figure): Parameters => ({
    flows: shape.known,
    ...kind.parameters(shape),
    figure: figures[figure],
  });
  const own = kinds.flatMap((kind) =>
    all.map((f) => measured(kind.name, parametersOf(kind, f), "us", us(kind, f))),
  );
  const growth = others.flatMap((kind) =>
    kind.judged.map((figure) => {
      const base = us(alone, figure);
      const more = us(kind, figure).map((value, i) => value - (base[i] as number));
      const found = measured(`${kind.name}: added`, parametersOf(kind, figure), "us", more);
      return withGoal(found, growthGoal);
    }),
  );
  return [...own, ...growth];
}

/** What the quantiles are of. */
function notesOf(samples: Samples): string[] {
  return [...samples].map(([{ name }, all]) => {
    const sum = (what: "count" | "preempted" | "expired") =>
      all.reduce((total, turns) => total + turns[what], 0);
    const expired = sum("expired") > 0 ? `, ${sum("expired")} flows expired` : "";
    return `${name}: ${sum("count")} turns${expired}; not among them ${sum("preempted")} in which another thread got the core`;
  });
}

async function openBench(shape: Shape): Promise<Bench> {
  // Room for those that expire.
  const flows = shape.known + Math.ceil(shape.seconds * expiriesPerSecond);
  const many = await benchModel({ family: 4, services: shape.services, flows, name: "bench-gap" });
  const few = { ...many, services: many.services.slice(0, shape.few) };
  const dataplane = Dataplane.open(many);
  try {
    const services = packServices(4, hitServices);
    const lapOptions = { family: 4, flows: shape.known, services } as const;
    const lap = new (nativeModule().PathLap)(dataplane.native, lapOptions);
    return { shape, lap, dataplane, models: { few, one: oneChanged(many), many } };
  } catch (cause) {
    dataplane.close();
    throw cause;
  }
}

export const gap: Question = {
  name: "gap",
  about: "us between two batches of a busy worker, while flows expire and services are published",
  async run(options) {
    const question = "gap";
    if (cpus().length < 2) {
      const skipped = "a worker beside JavaScript's thread needs two cores";
      return { question, machine: machineFacts(), cases: [{ subject: alone.name, skipped }] };
    }
    const shape = shapeOf(options);
    const flows = shape.known + shape.seconds * expiriesPerSecond;
    return withHugePages(setupBytes + flows * flowBytes, async () => {
      const bench = await openBench(shape);
      try {
        const samples = await measure(bench, options);
        const machine = machineFacts({ hugePagesUsed: bench.dataplane.info().hugePages });
        return { question, machine, cases: casesOf(samples, shape), notes: notesOf(samples) };
      } finally {
        bench.lap.close();
        bench.dataplane.close();
      }
    });
  },
};
