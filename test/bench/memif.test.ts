// bench memif and copy, briefly: that they run, lose nothing and say what the contract asks for.
// Speed is not tested.
import t, { type Test } from "tap";
import { copy } from "../../bench/copy.js";
import { CopyLaps } from "../../bench/copy_lap.js";
import { distanceOf, type Sample } from "../../bench/cores.js";
import { memif } from "../../bench/memif.js";
import { copyOptions } from "../../bench/memif_ports.js";
import { soak } from "../../bench/memif_soak.js";
import { byDistance, medianInterval, ratios } from "../../bench/ratio.js";
import { type Report, renderReport } from "../../bench/report.js";
import { testpmdMissing } from "../../bench/testpmd.js";

const near = (value: number): Sample => ({ value, roundTripNs: [60, 70], others: 0 });
const far = (value: number): Sample => ({ value, roundTripNs: [320, 400], others: 0 });
const mixed = (value: number): Sample => ({ value, roundTripNs: [60, 400], others: 0 });
const unknown = (value: number): Sample => ({ value, roundTripNs: [0, 60], others: 0 });

t.test("the distance of the cores", async (t) => {
  t.same(
    [near, far, mixed, unknown].map((f) => distanceOf(f(1))),
    ["near", "far", "mixed", "unknown"],
  );
  t.equal(distanceOf({ ...near(1), others: 0.5 }), "disturbed");
  const cases = byDistance("memif", { bytes: 64 }, "Mpps", [near(3), far(1), near(5), mixed(9)]);
  t.same(
    cases.map((c) => [c.parameters.cores, c.samples, c.roundTripNs?.length]),
    [
      ["near", [3, 5], 2],
      ["far", [1], 1],
      ["mixed", [9], 1],
    ],
  );
});

t.test("ratios are of pairs in one state", async (t) => {
  const ours = [near(20), far(4), near(30), near(7), mixed(1), unknown(1), near(50)];
  const theirs = [near(10), far(2), near(10), far(1), mixed(1), unknown(1), near(10)];
  const r = ratios("memif / testpmd", { bytes: 64 }, ours, theirs, { atLeast: 1.2 });
  t.equal(r.length, 1, "two pairs are not enough");
  t.match(r[0], { unit: "ratio", samples: [2, 3, 5], median: 3, pairs: 3, goal: { atLeast: 1.2 } });
  t.match(r[0]?.parameters, { bytes: 64, cores: "near" });
  const most = Array.from({ length: 15 }, () => near(2));
  const both = ratios("x", {}, [...most, ...[1, 1, 1].map(far)], [...most, ...[1, 1, 1].map(far)], {
    atLeast: 1,
  });
  t.same(
    both.map((c) => "goal" in c && c.goal !== undefined),
    [true, false],
    "few pairs are not for the goal where the other state has enough",
  );
  const few = ratios("x", {}, [near(1), far(1)], [near(1), far(1)]);
  t.match(few, [{ skipped: /^2 pairs/ }]);
  const text = renderReport({ question: "memif", machine: {}, cases: r });
  t.match(
    text,
    /ratio \(3 pairs, 95 %: [\d.]+ to [\d.]+\), goal at least 1.2: open \(of 15 samples 3\)/,
  );
});

t.test("the interval of a median", async (t) => {
  const values = Array.from({ length: 101 }, (_, i) => i);
  const [low, high] = medianInterval(values);
  t.ok(low > 30 && low < 50 && high > 50 && high < 70, `${low} to ${high}`);
  t.same(medianInterval([7, 7, 7]), [7, 7]);
});

for (const engine of ["cpu", "thread", "model"] as const) {
  t.test(`laps of copies, ${engine}`, async (t) => {
    for (const bytes of [64, 1500, 9000]) {
      const laps = new CopyLaps(bytes, copyOptions(engine, { bytesMin: 0, batchMin: 1 }));
      t.equal(laps.why, "");
      for (const way of ["receive", "send"] as const) {
        const lap = laps.lap(way, 1, 200);
        t.equal(lap.packets, 200, `${bytes} bytes, ${way}`);
        t.ok(lap.busyNs > 0 && lap.wholeNs >= lap.busyNs);
      }
      laps.close();
    }
  });
}

function hasShape(t: Test, report: Report, name: string): void {
  t.equal(report.question, name);
  t.ok(report.cases.length > 0);
  t.type(report.machine.cores, "number");
  for (const c of report.cases) {
    t.type(c.subject, "string");
    if ("skipped" in c) {
      t.ok(c.skipped.length > 0);
      continue;
    }
    t.ok(c.unit.length > 0 && c.min <= c.median && c.median <= c.max, JSON.stringify(c));
    t.ok(c.samples.length > 0 && c.samples.every((s) => Number.isFinite(s)));
    if (typeof c.parameters.bytes !== "undefined") t.ok(Number.isInteger(c.parameters.bytes));
  }
}

const options = { isFull: false, rounds: 1, progress: () => {} };

t.test("bench memif, one short sample of each case", async (t) => {
  const report = await memif.run(options);
  hasShape(t, report, "memif");
  const bytes = new Set(report.cases.map((c) => c.parameters?.bytes));
  for (const size of [64, 256, 1500, 9000]) t.ok(bytes.has(size), `${size} bytes`);
  const subjects = new Set(report.cases.map((c) => c.subject));
  for (const subject of ["memif", "corridor", "testpmd"]) t.ok(subjects.has(subject), subject);
  const isMissing = report.cases.some((c) => c.subject === "testpmd" && "skipped" in c);
  t.equal(isMissing, testpmdMissing() !== null);
  const modes = new Set(report.cases.map((c) => c.parameters?.mode));
  for (const mode of ["io", "macswap"]) t.equal(modes.has(mode), !isMissing, mode);
});

t.test("bench copy, one sample of each case", async (t) => {
  const report = await copy.run(options);
  hasShape(t, report, "copy");
  const engines = new Set(report.cases.map((c) => c.parameters?.engine));
  for (const engine of ["cpu", "thread", "model", "dsa"]) t.ok(engines.has(engine), engine);
  t.match(report.recommended, { copy: { engine: /^(cpu|thread|dsa)$/ } });
  t.match(report.notes?.join("\n"), /measured: .*\n?.*modelled: /);
});

t.test("nothing is lost while clients and servers come and go and engines fail", async (t) => {
  const result = await soak({ packets: 20_000, seed: 3 });
  t.ok(result.received >= 20_000 && result.sent >= result.received);
  t.equal(result.slots, 1024, "every slot of the ring is there");
  t.ok((result.copies.errors ?? 0) > 0, "the engine was made to fail");
});
