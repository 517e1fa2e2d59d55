// bench control: what a change of services costs before it reaches the workers: plan, compile and
// publish (rings included), by benchmark.js. Timed on JavaScript's thread; the corridor never waits.
import Benchmark from "benchmark";
import { IdDirectory } from "../src/compile/ids.js";
import { plan } from "../src/compile/plan.js";
import { compile } from "../src/compile/tables.js";
import type { Model } from "../src/model/model.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { benchModel } from "./model.js";
import type { Question } from "./questions.js";
import { type Measured, machineFacts, measured, type Report } from "./report.js";

/** The same with one endpoint of one service gone. */
function oneChanged(model: Model): Model {
  const [first, ...rest] = model.services;
  if (!first) return model;
  return { ...model, services: [{ ...first, endpoints: first.endpoints.slice(1) }, ...rest] };
}

function measure(
  name: string,
  parameters: { services: number },
  seconds: number,
  run: () => void,
): Measured {
  const bench = new Benchmark(name, run, { maxTime: seconds, minSamples: 5 });
  bench.run();
  const error: unknown = bench.error;
  if (error) throw error;
  const milliseconds = bench.stats.sample.map((s) => s * 1000);
  return measured(name, { ...parameters, endpoints: 5 }, "ms", milliseconds);
}

export const control: Question = {
  name: "control",
  about: "ms to plan, compile and publish a change of services",
  async run({ isFull, progress }): Promise<Report> {
    const counts = isFull ? [100, 1_000, 10_000, 100_000] : [100, 1_000, 10_000];
    const seconds = isFull ? 5 : 1;
    const cases: Measured[] = [];
    for (const [i, services] of counts.entries()) {
      const model = await benchModel({
        family: 4,
        services,
        flows: 0,
        name: `bench-control-${services}`,
      });
      const changed = oneChanged(model);
      const dataplane = Dataplane.open(model);
      try {
        const parameters = { services };
        let turn = 0;
        cases.push(
          measure("plan", parameters, seconds, () => plan(model, changed)),
          measure("compile", parameters, seconds, () => compile(model, new IdDirectory())),
          measure("apply one change", parameters, seconds, () =>
            dataplane.apply(turn++ % 2 ? model : changed),
          ),
        );
      } finally {
        dataplane.close();
      }
      progress(i + 1, counts.length);
    }
    return { question: "control", machine: machineFacts(), cases };
  },
};
