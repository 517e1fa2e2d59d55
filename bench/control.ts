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
import type { Question } from "./questions.js";
import { withGoal } from "./ratio.js";
import { type Measured, machineFacts, measured, type Report, type Skipped } from "./report.js";

const endpoints = 5;
const oneChangeGoal = { atMost: 10 };
const transactionGoal = { atMost: 2 };
const memoryGoal = { atMost: 160 };
const changeSamples = 15;

/** The same with one endpoint of the service in the middle gone. */
export function oneChanged(model: Model): Model {
  const services = [...model.services];
  const middle = services.length >> 1;
  const service = services[middle] as Service;
  services[middle] = { ...service, endpoints: service.endpoints.slice(1) };
  return { ...model, services };
}

function measure(name: string, services: number, seconds: number, run: () => void, goal?: Goal) {
  const bench = new Benchmark(name, run, { maxTime: seconds, minSamples: changeSamples });
  bench.run();
  const error: unknown = bench.error;
  if (error) throw error;
  const milliseconds = bench.stats.sample.map((s) => s * 1000);
  const found = measured(name, { services, endpoints }, "ms", milliseconds);
  return goal ? withGoal(found, goal) : found;
}

const modelOf = (services: number, name: string): Promise<Model> =>
  benchModel({ family: 4, services, flows: 0, name });

/** What nobody needs any more is gone: buffers are freed behind the collection that finds them. */
async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((done) => setImmediate(done));
  }
}

/** Seconds until all services are live, and the growth of the process by them, MB. */
async function transaction(services: number): Promise<{ seconds: number; megabytes: number }> {
  const few = await modelOf(1, "bench-control");
  const many = await modelOf(services, "bench-control");
  const dataplane = Dataplane.open(few);
  try {
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

async function transactions(rounds: number, progress: () => void): Promise<(Measured | Skipped)[]> {
  const seconds: number[] = [];
  const megabytes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    seconds.push((await inProcess(200_000)).seconds);
    megabytes.push((await inProcess(100_000)).megabytes);
    progress();
  }
  const of = (services: number) => ({ services, endpoints });
  return [
    withGoal(measured("transaction", of(200_000), "s", seconds), transactionGoal),
    withGoal(measured("memory", of(100_000), "MB", megabytes), memoryGoal),
  ];
}

export const control: Question = {
  name: "control",
  about: "ms to plan, compile and publish a change of services",
  async run({ isFull, progress }): Promise<Report> {
    const counts = [100, 1_000, 10_000, 100_000];
    const seconds = isFull ? 5 : 1;
    const rounds = isFull ? 15 : 3;
    const cases: (Measured | Skipped)[] = [];
    let done = 0;
    const step = () => progress(++done, counts.length + rounds);
    for (const services of counts) {
      const model = await modelOf(services, `bench-control-${services}`);
      const changed = oneChanged(model);
      const dataplane = Dataplane.open(model);
      try {
        let turn = 0;
        const apply = () => dataplane.apply(turn++ % 2 ? model : changed);
        const goal = services === 100_000 ? oneChangeGoal : undefined;
        cases.push(
          measure("plan", services, seconds, () => plan(model, changed)),
          measure("apply one change", services, seconds, apply, goal),
        );
        if (isFull || services < 100_000)
          cases.push(
            measure("compile", services, seconds, () => compile(model, new IdDirectory())),
          );
      } finally {
        dataplane.close();
      }
      step();
    }
    cases.push(...(await transactions(rounds, step)));
    return { question: "control", machine: machineFacts(), cases };
  },
};

// As a process of its own: one transaction.
if (process.argv[1] === self)
  process.stdout.write(JSON.stringify(await transaction(Number(process.argv[2]))));
