// bench control: what a change of services costs before it reaches the workers: plan, compile and
// publish (rings included). Timed on JavaScript's thread; the corridor never waits. Small operations by
// benchmark.js; the transaction and its memory by the clock, in a process of its own.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Benchmark from "benchmark";
import { IdDirectory } from "../src/compile/ids.js";
import { plan } from "../src/compile/plan.js";
import { compile } from "../src/compile/tables.js";
import type { Model, Service } from "../src/model/model.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import type { Goal } from "./goal.js";
import { benchModel } from "./model.js";
import type { Question, QuestionOptions } from "./questions.js";
import { withGoal } from "./ratio.js";
import { type Measured, machineFacts, measured, type Report } from "./report.js";

const endpoints = 5;
const oneChangeGoal = { atMost: 10 };
const transactionGoal = { atMost: 2 };
const memoryGoal = { atMost: 160 };
/** Services: of one change with a goal, of the transaction, and of its memory. */
const large = { change: 100_000, transaction: 200_000, memory: 100_000 } as const;
const small = { change: 100, transaction: 1_000, memory: 1_000 } as const;

interface Shape {
  readonly counts: readonly number[];
  readonly sizes: Readonly<Record<keyof typeof large, number>>;
  /** Of what benchmark.js times. */
  readonly seconds: number;
  readonly samplesMin: number;
  /** Of the transaction. */
  readonly rounds: number;
}

function shapeOf({ isFull, rounds }: QuestionOptions): Shape {
  if (rounds === 1)
    return { counts: [small.change], sizes: small, seconds: 0.05, samplesMin: 1, rounds };
  const samplesMin = rounds ?? 15;
  const counts = [100, 1_000, 10_000, large.change];
  return isFull
    ? { counts, sizes: large, seconds: 5, samplesMin, rounds: rounds ?? 9 }
    : { counts, sizes: large, seconds: 1, samplesMin, rounds: rounds ?? 5 };
}

/** The same with one endpoint of the service in the middle gone. */
export function oneChanged(model: Model): Model {
  const services = [...model.services];
  const middle = services.length >> 1;
  const service = services[middle] as Service;
  services[middle] = { ...service, endpoints: service.endpoints.slice(1) };
  return { ...model, services };
}

function measure(
  name: string,
  services: number,
  { seconds, samplesMin }: Shape,
  run: () => void,
  goal?: Goal,
): Measured {
  const bench = new Benchmark(name, run, { maxTime: seconds, minSamples: samplesMin });
  bench.run();
  const error: unknown = bench.error;
  if (error) throw error;
  const milliseconds = bench.stats.sample.map((s) => s * 1000);
  const found = measured(name, { services, endpoints }, "ms", milliseconds);
  return goal ? withGoal(found, goal) : found;
}

const modelOf = (services: number, name: string, workers = 1): Promise<Model> =>
  benchModel({ family: 4, services, flows: 0, name, workers });

/** What nobody needs any more is gone: buffers are freed behind the collection that finds them. */
async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((done) => setImmediate(done));
  }
}

const workers = 2;

/**
 * Seconds until all services are live, and the growth of the process by them, MB. Workers run: apply
 * comes back when each of them has left the tables before.
 */
async function transaction(services: number): Promise<{ seconds: number; megabytes: number }> {
  const few = await modelOf(1, "bench-control", workers);
  const many = await modelOf(services, "bench-control", workers);
  const dataplane = Dataplane.open(few);
  try {
    dataplane.start();
    await collectGarbage();
    const before = process.memoryUsage.rss();
    const began = performance.now();
    dataplane.apply(many);
    const seconds = (performance.now() - began) / 1000;
    await collectGarbage();
    return { seconds, megabytes: (process.memoryUsage.rss() - before) / 1e6 };
  } finally {
    dataplane.close();
  }
}

const self = fileURLToPath(import.meta.url);

async function inProcess(services: number): Promise<{ seconds: number; megabytes: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--expose-gc",
    self,
    String(services),
  ]);
  return JSON.parse(stdout) as { seconds: number; megabytes: number };
}

async function transactions({ rounds, sizes }: Shape, progress: () => void): Promise<Measured[]> {
  const seconds: number[] = [];
  const megabytes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    seconds.push((await inProcess(sizes.transaction)).seconds);
    megabytes.push((await inProcess(sizes.memory)).megabytes);
    progress();
  }
  const of = (services: number) => ({ services, endpoints });
  return [
    withGoal(measured("transaction", of(sizes.transaction), "s", seconds), transactionGoal),
    withGoal(measured("memory", of(sizes.memory), "MB", megabytes), memoryGoal),
  ];
}

export const control: Question = {
  name: "control",
  about: "ms to plan, compile and publish a change of services",
  async run(options): Promise<Report> {
    const shape = shapeOf(options);
    const { counts, sizes, rounds } = shape;
    const cases: Measured[] = [];
    let done = 0;
    const step = () => options.progress(++done, counts.length + rounds);
    for (const services of counts) {
      const model = await modelOf(services, `bench-control-${services}`);
      const changed = oneChanged(model);
      const dataplane = Dataplane.open(model);
      try {
        let turn = 0;
        const apply = () => dataplane.apply(turn++ % 2 ? model : changed);
        const goal = services === sizes.change ? oneChangeGoal : undefined;
        cases.push(
          measure("plan", services, shape, () => plan(model, changed)),
          measure("apply one change", services, shape, apply, goal),
        );
        if (options.isFull || services < large.change)
          cases.push(measure("compile", services, shape, () => compile(model, new IdDirectory())));
      } finally {
        dataplane.close();
      }
      step();
    }
    cases.push(...(await transactions(shape, step)));
    return { question: "control", machine: machineFacts(), cases };
  },
};

// As a process of its own: one transaction.
if (process.argv[1] === self)
  process.stdout.write(JSON.stringify(await transaction(Number(process.argv[2]))));
