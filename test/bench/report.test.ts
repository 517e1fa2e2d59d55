// The page of bench --report: what others wrote is text in it, its links lead somewhere, what it says is
// what was measured. And the command line around it.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { isLines } from "../../bench/chart.js";
import { short } from "../../bench/chart_look.js";
import { renderChart } from "../../bench/chart_svg.js";
import { h } from "../../bench/html.js";
import { questions } from "../../bench/index.js";
import { chartsOf } from "../../bench/plots.js";
import { withGoal } from "../../bench/ratio.js";
import { measured, type Parameters, type Report } from "../../bench/report.js";
import {
  aboutAll,
  casesMax,
  openFolder,
  readReports,
  reportsMax,
  writeReports,
} from "../../bench/report_files.js";
import { root } from "../kit/root.js";

const hostile = `</style><script>alert("&'1")</script>`;
const samples = [10, 12, 11];
const figure = (subject: string, parameters: Parameters, unit = "ns/packet") =>
  measured(subject, parameters, unit, samples);

const machine = { cpu: "a CPU", cores: 2 };
const ofPath: Report = {
  question: "path",
  machine,
  cases: [
    withGoal(figure("corridor", { flows: 1000, services: 1, family: 4 }), { atMost: 15 }),
    figure("corridor", { flows: 1_000_000, services: 1, family: 4 }),
    figure("floor", { flows: 1000, services: 1, family: 4 }),
    figure("rte_hash", { entries: 2 ** 20, keys: 786432, bulk: 32 }),
    measured("rte_hash", { entries: 2 ** 20, keys: 786432, bulk: 64 }, "ns/lookup", [5]),
    { subject: "testpmd", skipped: `not ${hostile}` },
  ],
};
const ofCopy: Report = {
  question: "copy",
  machine: { cpu: hostile },
  cases: (["near", "far"] as const).flatMap((cores) =>
    [64, 1500].map((bytes) =>
      measured("nodeplane", { way: "receive", bytes, engine: hostile, cores }, "ns/packet", [
        cores === "near" ? 10 : 100,
      ]),
    ),
  ),
  notes: [hostile],
  recommended: { copy: { engine: hostile } },
};

function safe(t: Test, text: string): void {
  t.notMatch(text, /<script|alert\("/, "nothing of it is markup");
  t.notMatch(text, /(src|href)="(?!#|[\w-]+\.(svg|json)")/, "nothing comes from elsewhere");
}

t.test("h escapes all but Html", async (t) => {
  t.equal(
    h`<b title="${`"'&<>`}">${1}${h`<i>`}${[h`<u>`]}</b>`.text,
    `<b title="&quot;&#39;&amp;&lt;&gt;">1<i><u></b>`,
  );
});

t.test("numbers on an axis", async (t) => {
  t.same([1, 512, 1000, 1500, 786432, 16e6].map(short), [
    "1",
    "512",
    "1 k",
    "1.5 k",
    "786432",
    "16 M",
  ]);
});

t.test("a chart shows medians, the better bulk, the goal", async (t) => {
  const [chart] = chartsOf(ofPath);
  if (!chart || !isLines(chart)) throw new Error("a line chart was expected");
  t.match(
    chart.lines.map((l) => [l.name, l.kind, l.points.map((p) => [p.x, p.y, p.low, p.high])]),
    [
      [
        "corridor IPv4",
        "ours",
        [
          [1000, 11, 11, 12],
          [1_000_000, 11, 11, 12],
        ],
      ],
      [/floor/, "beside", [[1000, 11]]],
      [/rte_hash/, "peer", [[786432, 5]]],
    ],
  );
  t.same(chart.goals, [{ x: 1000, y: 15 }]);
  const svg = await renderChart(chart);
  t.match(svg, /^<svg [^>]*viewBox[\s\S]*<\/svg>$/);
  for (const text of ["The corridor in memory", "corridor IPv4", "1 M", "goal"])
    t.ok(svg.includes(text), text);
});

t.test("of the cores' states one is drawn; names in charts are text", async (t) => {
  const [chart] = chartsOf(ofCopy);
  if (!chart || !isLines(chart)) throw new Error("a line chart was expected");
  t.same(
    chart.lines[0]?.points.map((p) => p.y),
    [6.4, 150],
    "GB/s, near",
  );
  safe(t, await renderChart(chart));
});

t.test("the page: escaped, self-contained, every link leads somewhere", async (t) => {
  const folder = t.testdir();
  await writeReports(folder, [ofPath, ofCopy], `made ${hostile}`);
  const html = readFileSync(join(folder, "index.html"), "utf8");
  safe(t, html);
  const files = readdirSync(folder);
  for (const [, target = ""] of html.matchAll(/href="([^"]*)"/g)) {
    const isThere = target.startsWith("#")
      ? html.includes(`id="${target.slice(1)}"`)
      : files.includes(target);
    t.ok(isThere, target);
  }
  for (const name of ["path.svg", "copy-receive.svg", "report.json"])
    t.ok(files.includes(name), name);
  t.match(
    html,
    /at most 15<\/td>.*\n?.*<span class="verdict open">open<\/span> \(of 15 samples 3\)/,
  );
  t.match(html, /skipped: not &lt;\/style&gt;/);
  t.match(html, /<dt>cores<\/dt><dd>2<\/dd>/);
  t.same(readReports(join(folder, "report.json")), JSON.parse(JSON.stringify([ofPath, ofCopy])));
});

t.test("every question has its row in bench/README.md", async (t) => {
  const abouts = aboutAll();
  for (const { name } of questions) t.ok((abouts.get(name)?.how.length ?? 0) > 40, name);
});

t.test("reports of others are bounded, and what is no place on an axis is not drawn", async (t) => {
  const folder = t.testdir();
  const file = join(folder, "hostile.json");
  const read = (...all: readonly unknown[]) => {
    writeFileSync(file, JSON.stringify(all));
    return () => readReports(file);
  };
  const one = figure("corridor", { flows: 1000, services: 1, family: 4 });
  const of = (...cases: readonly unknown[]) => ({ question: "path", machine: {}, cases });
  t.throws(read(of(...Array(casesMax + 1).fill(one))), /0\.cases: .*4000/);
  t.throws(
    read(...Array(reportsMax + 1).fill(of(one))),
    /no report of nodeplane bench: Too big.*100/,
  );
  for (const odd of [{ median: 1e16 }, { samples: [-1e300] }, { samples: [] }, { min: null }])
    t.throws(read(of({ ...one, ...odd })), /0\.cases\.0/, JSON.stringify(odd));
  t.throws(read(of({ ...one, parameters: { flows: 1e300 } })), /0\.cases\.0/);
  const odd = ["1e300", "Infinity", "1000", 0, -1].map((flows) => ({
    ...one,
    parameters: { ...one.parameters, flows },
  }));
  const [path] = read(of(one, ...odd))();
  const [chart] = chartsOf(path as Report);
  if (!chart || !isLines(chart)) throw new Error("a line chart was expected");
  t.same(
    chart.lines.map((line) => line.points.map((p) => p.x)),
    [[1000]],
  );
  const wide = [1e-15, 1e15].map((flows) => ({
    ...one,
    samples: [1e15, -1e15],
    parameters: { ...one.parameters, flows, workers: flows },
  }));
  for (const question of ["path", "workers"])
    await writeReports(folder, read({ ...of(...wide), question })(), "wide");
});

t.test("files that are no report, folders that cannot be written", async (t) => {
  const folder = t.testdir({
    "no.json": "{",
    "other.json": `{"question":"path"}`,
    "id.json": JSON.stringify({ question: `"><b`, machine: {}, cases: [] }),
    "none.json": "[]",
  });
  t.throws(() => readReports(join(folder, "missing.json")), /missing\.json: no such file/);
  t.throws(() => readReports(join(folder, "no.json")), /no\.json: .*JSON/);
  t.throws(
    () => readReports(join(folder, "other.json")),
    /no report of nodeplane bench: 0\.machine/,
  );
  t.throws(() => readReports(join(folder, "id.json")), /0\.question/);
  t.throws(() => readReports(join(folder, "none.json")), /no report/);
  t.throws(() => openFolder(join(folder, "no.json", "x")), /cannot be written: ENOTDIR/);
  t.throws(() => openFolder(join(folder, "no.json")), /cannot be written: EEXIST/);
  t.throws(() => openFolder("/proc/none-such/deep"), /cannot be written: no such file/);
  openFolder(join(folder, "a/b"));
  openFolder(join(folder, "a/b"));
});

t.test("the command line", async (t) => {
  const folder = t.testdir();
  const bench = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, "bin/nodeplane.js"), "bench", ...args], {
      encoding: "utf8",
      // What tap loads into every process is of no use here, and slow.
      env: { ...process.env, NODE_OPTIONS: "", NODEPLANE_MODULE: "/no-addon" },
    });
  const file = join(folder, "earlier.json");
  writeFileSync(file, JSON.stringify(ofPath));
  const made = bench("--report", join(folder, "page"), "--from", file);
  t.match(made, { status: 0, stdout: "", stderr: /written: .*index\.html/ });
  t.match(readFileSync(join(folder, "page/index.html"), "utf8"), /From earlier\.json/);
  t.match(bench("--from", file), { status: 2, stderr: /--from FILE .* needs --report/ });
  for (const rounds of ["0", "1e3", "100001"])
    t.match(bench("path", "--rounds", rounds), {
      status: 2,
      stderr: /'--rounds <n>' .* whole number from 1 to 100000/,
    });
  t.match(bench("--report", join(file, "x"), "path"), {
    status: 1,
    stderr: /cannot be written/,
  });
  // Without the addon nothing can be measured: that is said, and the other questions are asked.
  const run = bench("path", "churn", "--report", join(folder, "run"));
  t.match(run, { status: 1, stderr: /path: .*no-addon[\s\S]*churn: .*no-addon[\s\S]*written/ });
  t.match(run.stdout, /^path[\s\S]*skipped: +it failed: .*no-addon[\s\S]*^churn/m);
  const failed = { skipped: /^it failed: / };
  t.match(readReports(join(folder, "run/report.json")), [
    { question: "path", cases: [failed] },
    { question: "churn", cases: [failed] },
  ]);
});
