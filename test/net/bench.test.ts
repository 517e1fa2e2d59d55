// The questions over veth, briefly: that every subject forwards, and that nothing is left behind,
// not even when they are interrupted. Speed is not tested.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { afXdp } from "../../bench/af_xdp.js";
import type { Question } from "../../bench/questions.js";
import type { Report } from "../../bench/report.js";
import { restart } from "../../bench/restart.js";
import { veth } from "../../bench/veth.js";
import { vethBulk } from "../../bench/veth_bulk.js";
import { vethConnections } from "../../bench/veth_connections.js";
import { missing, missingPrograms, needsRoot } from "../../bench/veth_peers.js";
import { command } from "../kit/root.js";

const skip = needsRoot() ?? false;
const namespaces = (): string[] =>
  existsSync("/run/netns") ? readdirSync("/run/netns").filter((n) => n.startsWith("np-veth-")) : [];
const own = (): string[] => namespaces().filter((n) => n.startsWith(`np-veth-${process.pid}-`));

async function ask(t: Test, question: Question): Promise<Report> {
  const report = await question.run({ isFull: false, rounds: 1, progress: () => {} });
  t.equal(report.question, question.name);
  for (const c of report.cases) {
    if ("skipped" in c) {
      t.match(c.skipped, /not installed|pairs of samples/);
      if (without.has(c.subject)) t.comment(`${c.subject} is skipped: ${c.skipped}`);
    } else t.ok(Number.isFinite(c.median) && c.samples.length === 1, JSON.stringify(c));
  }
  t.same(own(), [], "no namespace is left");
  return report;
}

const without = new Map<string, string>(missingPrograms());

/** Subjects with a figure above zero, if what they need is installed. */
function has(t: Test, report: Report, unit: string, subjects: readonly string[]): void {
  for (const subject of subjects) {
    const found = report.cases.filter((c) => c.subject === subject);
    const works = found.some((c) => "unit" in c && c.unit === unit && c.median > 0);
    t.equal(works, !without.has(subject), `${subject}: ${unit}`);
  }
}

t.test("bench veth", { skip }, async (t) => {
  const report = await ask(t, veth);
  const bare = ["forwarding", "xdp_redirect", "af_xdp_forward"];
  const serving = ["nftables", "iptables", "af_xdp", "af_packet"];
  for (const unit of ["Mpps", "Mpps per CPU second", "us p99"])
    has(t, report, unit, [...bare, ...serving]);
});

t.test("bench af_xdp", { skip }, async (t) => {
  has(t, await ask(t, afXdp), "ns CPU/packet", ["corridor", "forward"]);
});

t.test("bench veth_connections", { skip }, async (t) => {
  const report = await ask(t, vethConnections);
  const why = missing(["nginx", "ab"]);
  if (why) t.match(report.cases, [{ skipped: why }]);
  else has(t, report, "connections/s", ["nftables", "iptables", "af_xdp", "af_packet"]);
});

t.test("bench veth_bulk", { skip }, async (t) => {
  const report = await ask(t, vethBulk);
  const why = missing(["iperf3"]);
  if (why) t.match(report.cases, [{ skipped: why }]);
  else has(t, report, "Gbit/s", ["nftables", "af_xdp", "af_packet", "tap"]);
});

t.test("bench restart", { skip }, async (t) => {
  const report = await ask(t, restart);
  has(t, report, "ms", ["tcp", "dataplane", "records restored"]);
  for (const c of report.cases) t.equal("lost" in c ? c.lost : undefined, 0, `${c.subject}: lost`);
});

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((r) => child.once("exit", (code) => r(code)));

t.test("interrupted, it leaves nothing behind", { skip }, async (t) => {
  const child = spawn(process.execPath, [command, "bench", "veth"], { stdio: "ignore" });
  const its = (): string[] => namespaces().filter((n) => n.startsWith(`np-veth-${child.pid}-`));
  const end = ended(child);
  while (its().length < 9 && child.exitCode === null) await sleep(50);
  t.ok(its().length >= 9, "three subjects are there");
  child.kill("SIGINT");
  t.equal(await end, 130);
  t.same(its(), []);
});
