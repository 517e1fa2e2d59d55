// The bench runner, and that the laps of bench path lose no packet. Speed is not tested.
import { cpus } from "node:os";
import t from "tap";
import { control } from "../../bench/control.js";
import { gap } from "../../bench/gap.js";
import { type Goal, verdict } from "../../bench/goal.js";
import { lapQuestion } from "../../bench/lap_question.js";
import { type LapSetting, lapCase, resident } from "../../bench/laps.js";
import { machineFacts } from "../../bench/machine.js";
import { benchModel, packServices } from "../../bench/model.js";
import { ratioOf, withGoal } from "../../bench/ratio.js";
import { type Measured, measured, median, renderReport } from "../../bench/report.js";
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

t.test("a goal is met or missed only when the whole interval says so", async (t) => {
  const most: Goal = { atMost: 10 };
  const least: Goal = { atLeast: 10 };
  for (const [interval, atMost, atLeast] of [
    [[8, 9], "met", "MISSED"],
    [[9, 10], "met", "open"],
    [[9, 11], "open", "open"],
    [[10, 11], "open", "met"],
    [[11, 12], "MISSED", "met"],
  ] as const) {
    t.equal(verdict(most, interval, 15), atMost, `${interval} at most`);
    t.equal(verdict(least, interval, 15), atLeast, `${interval} at least`);
    t.equal(verdict(most, interval, 14), "open", "14 samples do not tell");
  }
});

t.test("ratios of the same rounds, goals of figures", async (t) => {
  const rounds = Array.from({ length: 15 }, (_, i) => i + 10);
  const ours = measured("corridor", {}, "ns/packet", rounds);
  const theirs = measured(
    "floor",
    {},
    "ns/packet",
    rounds.map((n) => n * 4),
  );
  const ratio = ratioOf("corridor / floor", {}, ours, theirs, { atMost: 0.25 });
  t.match(ratio, { unit: "ratio", pairs: 15, median: 0.25, interval: [0.25, 0.25] });
  const cases = [ratio, withGoal(ours, { atMost: 12 })];
  const text = renderReport({ question: "path", machine: {}, cases });
  t.match(text, /ratio \(15 pairs, 95 %: 0\.25 to 0\.25\), goal at most 0\.25: met/);
  t.match(text, /ns\/packet \(95 %: [\d.]+ to [\d.]+\), goal at most 12: MISSED/);
  const fewer = measured("floor", {}, "ns/packet", [1]);
  t.throws(() => ratioOf("x", {}, ours, fewer), RangeError);
});

t.test("what is said of the machine", async (t) => {
  const facts = machineFacts({ framesPerLap: 8192 });
  t.match(facts, { cpu: String, cores: Number, governor: String, framesPerLap: 8192 });
  t.ok(Number(facts.stealPercent) >= 0 && Number(facts.stealPercent) <= 100);
  const { cores, coreRoundTripNs } = facts;
  t.ok(cores === 1 || coreRoundTripNs === "unknown" || Number(coreRoundTripNs) > 0);
});

for (const family of [4, 6] as const) {
  t.test(`laps over IPv${family}: every packet leaves, every frame comes back`, async (t) => {
    const model = await benchModel({
      family,
      flows: 2000,
      services: 4,
      workers: 2,
      room: true,
      name: `lap-test-${family}`,
    });
    const dataplane = Dataplane.open(model);
    const lap = new (nativeModule().PathLap)(dataplane.native, {
      family,
      flows: 2000,
      services: packServices(family, 3),
      backward: true,
    });
    const live = () => dataplane.info()[family === 4 ? "flows4" : "flows6"];
    for (const what of ["corridor", "empty", "floor", "new"] as const)
      t.ok(lap.lap(what) > 0, what);
    t.equal(live(), 2000, "new connections go away, those that were opened stay");
    for (const what of ["expire", "reset"] as const) {
      for (let i = 0; i < 3; i++) t.ok(lap.lap(what) > 0, what);
      t.ok(live() >= 2000 && live() <= 2000 + 2 * 8192, `as many end as begin: ${live()}`);
    }
    const ways = ["forward", "backward"] as const;
    const draws = ways.map((way) => ({ first: 0, stride: 1, way }));
    for (const what of ["corridor", "new"] as const) {
      const ns = lap.together(what, draws, [-1, -1], 2);
      t.ok(ns.length === 2 && ns.every((each) => each > 0), `${what}, two workers`);
    }
    lap.beginTurns(0.05, 200_000, -1);
    t.throws(() => lap.lap("corridor"), /at work/);
    t.throws(() => lap.beginTurns(0.05, 0, -1), /at work/);
    const turns = lap.endTurns();
    t.ok(turns.count * turns.p50 > 0 && turns.max >= turns.p9999 && turns.p9999 >= turns.p50);
    // All that were doomed, in whole laps, but for those of the last tick or two.
    t.ok(turns.expired > 2 * 256 && turns.expired <= 2 * 8192, `${turns.expired} expired`);
    t.equal(live(), 2000, "whoever was hit stays");
    lap.beginTurns(0.05, 0, -1);
    // No flow is sent to the last service.
    const fewer = { ...model, services: model.services.slice(0, 3) };
    const generation = dataplane.info().generation;
    for (let i = 0; i < 20; i++) dataplane.apply(i % 2 ? model : fewer);
    t.equal(lap.endTurns().expired, 0, "published under a worker at work, no packet astray");
    t.equal(dataplane.info().generation, generation + 20);
    t.throws(() => lap.endTurns(), /not at work/);
    lap.close();
    t.equal(dataplane.close(), true, "no frame is missing");
  });
}

t.test(
  "a question of laps: its rounds after a warm-up, its check, its goals; the rest when full",
  async (t) => {
    const small: LapSetting = { flows: 1000, services: 2, family: 4 };
    const checked: number[] = [];
    const question = lapQuestion({
      name: "lap-test",
      about: "",
      settings: [small],
      more: [{ ...small, family: 6 }],
      rounds: { quick: 2, full: 3 },
      cases: (laps) => laps.map((open) => lapCase(open, "corridor", "corridor", "ns/packet")),
      check: (laps) => checked.push(...laps.map(resident)),
      judged: (cases) => cases.map((c) => withGoal(c, { atMost: 1 })),
    });
    for (const [isFull, rounds, samples] of [
      [false, undefined, [2]],
      [true, undefined, [3, 3]],
      [false, 1, [1]],
    ] as const) {
      let done = 0;
      const report = await question.run({ isFull, rounds, progress: () => done++ });
      t.match(report, { question: "lap-test", machine: { hugePagesUsed: Boolean } });
      const cases = report.cases as readonly Measured[];
      t.same(
        cases.map((c) => c.samples.length),
        samples,
      );
      t.ok(cases.every((c) => c.median > 0 && c.goal));
      t.equal(done, (samples[0] ?? 0) + 3, "three rounds before");
    }
    t.same(checked, [1000, 1000, 1000, 1000]);
    const failing = lapQuestion({
      ...{ name: "lap-test", about: "", settings: [small], cases: () => [], judged: () => [] },
      check: () => {
        throw new Error("flows stayed");
      },
    });
    await t.rejects(failing.run({ isFull: false, progress: () => {} }), /flows stayed/);
  },
);

t.test(
  "bench control, briefly: every figure is there, the transaction by a process of its own",
  async (t) => {
    const report = await control.run({ isFull: false, rounds: 1, progress: () => {} });
    const found = report.cases as readonly Measured[];
    t.same(
      found.map((c) => `${c.subject} ${c.unit}`),
      ["plan ms", "apply one change ms", "compile ms", "transaction s", "memory MB"],
    );
    for (const { subject, samples } of found)
      t.ok(samples.length > 0 && samples.every((s) => subject === "memory" || s > 0), subject);
    t.same(
      found.flatMap((c) => (c.goal ? [c.goal] : [])),
      [{ atMost: 10 }, { atMost: 2 }, { atMost: 160 }],
    );
  },
);

t.test("bench gap, briefly: every kind with its figures, goals on what is added", async (t) => {
  let rounds = 0;
  const report = await gap.run({ isFull: false, rounds: 1, progress: () => rounds++ });
  t.equal(rounds, 1);
  if (cpus().length < 2) return t.match(report.cases, [{ skipped: /two cores/ }]);
  const found = report.cases.flatMap((c) => ("skipped" in c ? [] : [c]));
  const names = ["alone", "expiry", "one service changes", "transaction"];
  for (const name of names) {
    const own = found.filter((c) => c.subject === name);
    t.same(
      own.map((c) => c.parameters.figure),
      ["p50", "p99", "p99.99", "longest"],
    );
    const values = own.map((c) => c.median);
    t.ok(values[0] && values[0] > 0, name);
    t.same(
      values,
      [...values].sort((a, b) => a - b),
      "no quantile is below a smaller one",
    );
  }
  const judged = found.filter((c) => c.goal);
  t.same(
    judged.map((c) => [c.subject, c.parameters.figure, c.goal]),
    [
      ["expiry: added", "p99.99", { atMost: 100 }],
      ["one service changes: added", "p99.99", { atMost: 100 }],
      ["one service changes: added", "longest", { atMost: 100 }],
      ["transaction: added", "p99.99", { atMost: 100 }],
    ],
  );
  const of = (subject: string) =>
    found.find((c) => c.subject === subject && c.parameters.figure === "longest")?.median ?? 0;
  t.equal(judged[2]?.median, of("one service changes") - of("alone"));
  t.match(report.notes?.[1], /expiry: \d+ turns, [1-9]\d* flows expired/);
});
