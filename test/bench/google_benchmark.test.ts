// bench flows and kernels: what Google Benchmark says, read; one short run where it is installed.
import t from "tap";
import { flows } from "../../bench/flows.js";
import { readRuns } from "../../bench/google_benchmark.js";
import { kernels } from "../../bench/kernels.js";
import { hasLibrary } from "../../bench/programs.js";
import type { Measured } from "../../bench/report.js";

const run = (name: string, family: number, repetition: number, rate: number) => ({
  run_name: name,
  run_type: "iteration",
  family_index: family,
  per_family_instance_index: 0,
  repetition_index: repetition,
  items_per_second: rate,
});
const name = ([subject = "", flows]: readonly string[]) => ({
  subject,
  parameters: { flows: Number(flows) },
});

t.test("samples in the order of their repetitions, benchmarks in theirs", async (t) => {
  const mean = { ...run("find/10", 1, 0, 1), run_type: "aggregate" };
  const benchmarks = [
    run("find/10", 1, 1, 2e8),
    run("keep/10", 0, 0, 1e6),
    run("find/10", 1, 0, 1e8),
    mean,
  ];
  const found = readRuns(JSON.stringify({ benchmarks }), { unit: "ns/item", name });
  t.match(found, [
    { subject: "keep", parameters: { flows: 10 }, samples: [1000] },
    { subject: "find", samples: [10, 5], median: 7.5 },
  ]);
});

t.test("what a benchmark finds wrong is an error", async (t) => {
  const wrong = { ...run("keep/10", 0, 0, 0), error_occurred: true, error_message: "not kept" };
  const json = JSON.stringify({ benchmarks: [wrong] });
  t.throws(() => readRuns(json, { unit: "ns/item", name }), /^keep\/10: not kept$/);
  t.throws(() => readRuns("no JSON", { unit: "ns/item", name }), SyntaxError);
});

for (const question of [kernels, flows]) {
  t.test(`bench ${question.name}, one sample of each case`, async (t) => {
    const report = await question.run({ isFull: false, rounds: 1, progress: () => {} });
    const skipped = report.cases.filter((c) => "skipped" in c);
    const found = report.cases.filter((c) => !("skipped" in c)) as Measured[];
    for (const c of skipped) t.comment(`${c.subject} is skipped: ${c.skipped}`);
    for (const c of found) t.ok(c.median > 0 && c.samples.length > 0, c.subject);
    const [wanted, all] =
      question === kernels ? ["tag probe", "kernels"] : ["find_hit", "flow table"];
    const isThere = hasLibrary("benchmark");
    t.equal(found.filter((c) => c.subject === wanted).length > 0, isThere, wanted);
    t.equal(skipped.filter((c) => c.subject === all).length, isThere ? 0 : 1, all);
  });
}
