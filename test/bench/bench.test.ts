// The bench runner, and that the laps of bench path lose no packet. Speed is not tested.
import t from "tap";
import { benchModel, packServices } from "../../bench/model.js";
import { measured, median, renderReport } from "../../bench/report.js";
import { interleave } from "../../bench/runner.js";
import { Dataplane } from "../../src/runtime/dataplane.js";
import { nativeModule } from "../../src/runtime/native.js";

t.test("median", async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
  t.throws(() => median([]), RangeError);
});

t.test("cases take turns, warm-up does not count, the order turns", async (t) => {
  const calls: string[] = [];
  const cases = ["a", "b"].map((subject) => ({
    subject,
    parameters: {},
    unit: "calls",
    sample: () => calls.push(subject),
  }));
  const result = await interleave(cases, { rounds: 2, warmup: 1 });
  t.equal(calls.join(""), "abbaab");
  t.same(
    result.map((r) => r.samples),
    [
      [4, 5],
      [3, 6],
    ],
  );
  t.same([result[0]?.min, result[0]?.median, result[0]?.max], [4, 4.5, 5]);
});

t.test("the table names what was skipped", async (t) => {
  const cases = [
    measured("corridor", { flows: 1000 }, "ns/packet", [50, 40, 60]),
    { subject: "testpmd", skipped: "not installed" },
  ];
  const text = renderReport({ question: "path", machine: { cores: 2 }, cases });
  t.match(text, /corridor +flows=1000 +40\.0 +50\.0 +60\.0 +ns\/packet/);
  t.match(text, /testpmd .*skipped: +not installed/);
});

for (const family of [4, 6] as const) {
  t.test(`laps over IPv${family}: every packet leaves, every frame comes back`, async (t) => {
    const model = await benchModel({
      family,
      flows: 12_000,
      services: 3,
      name: `lap-test-${family}`,
    });
    const dataplane = Dataplane.open(model);
    const lap = new (nativeModule().PathLap)(dataplane.native, {
      family,
      flows: 2000,
      services: packServices(family, 3),
    });
    for (const what of ["corridor", "empty", "floor", "new"] as const)
      t.ok(lap.lap(what) > 0, what);
    const { flows4, flows6 } = dataplane.info();
    t.ok((family === 4 ? flows4 : flows6) >= 2000, "connections are kept");
    lap.close();
    t.equal(dataplane.close(), true, "no frame is missing");
  });
}
