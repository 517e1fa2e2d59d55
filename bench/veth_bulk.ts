// bench veth_bulk: one TCP connection of iperf3 as fast as it goes, with segmentation offload where
// the way keeps it.
import { execFile } from "node:child_process";
import { messageOf } from "../src/kit/error.js";
import { ratios } from "./ratio.js";
import type { Measured, Skipped } from "./report.js";
import { type Entry, find } from "./veth_entry.js";
import { addQueues, allowLarge, backendAddresses, outsideCore } from "./veth_net.js";
import { type SeriesPlan, seriesQuestion, type Wish } from "./veth_series.js";
import { bulk } from "./veth_services.js";
import { isBare, type Subject } from "./veth_subjects.js";

const services = 1_000;
const goal = 0.5;
const key = "bulk";
const rate = "Gbit/s";
const resent = "segments sent again";

const wishesOf = (isFull: boolean): Wish[] => {
  const kernel = isFull ? (["forwarding", "nftables", "iptables"] as const) : ["nftables" as const];
  // The second af_xdp is the one with queues.
  const ours = ["af_xdp", "af_xdp", "af_packet", "tap"] as const;
  return [...kernel, ...ours].map((name) => ({
    name,
    services: name === "forwarding" ? 0 : services,
  }));
};

interface Plan extends SeriesPlan {
  /** What iperf3 is to send. */
  readonly amount: readonly string[];
}

interface Iperf {
  readonly error?: string;
  readonly end?: {
    readonly sum_sent: { readonly retransmits: number };
    readonly sum_received: { readonly bits_per_second: number };
  };
}

const connectMs = 3_000;
const readyTries = 20;

function transfer(subject: Subject, amount: readonly string[]): Promise<Iperf> {
  const to = isBare(subject.name) ? (backendAddresses[0] as string) : bulk.address;
  const before = ["netns", "exec", subject.net.namespaces.client];
  const pinned = ["taskset", "-c", String(outsideCore), "iperf3"];
  const args = ["-c", to, "-p", String(bulk.port), "-J", "--connect-timeout", String(connectMs)];
  const options = { timeout: 20_000, killSignal: "SIGKILL" as const, maxBuffer: 8 << 20 };
  return new Promise((resolve, reject) => {
    execFile("ip", [...before, ...pinned, ...args, ...amount], options, (error, out) => {
      try {
        resolve(JSON.parse(out) as Iperf);
      } catch {
        reject(new Error(`iperf3 through ${subject.name}: ${messageOf(error)}`));
      }
    });
  });
}

async function serve(subject: Subject): Promise<void> {
  subject.spawn("backend", outsideCore, ["iperf3", "-s", "-p", String(bulk.port)]);
  let why = "";
  for (let i = 0; i < readyTries; i++) {
    const { error, end } = await transfer(subject, ["-n", "100K"]);
    if (end && !error) return;
    why = error ?? "";
    await new Promise((r) => setTimeout(r, 100));
  }
  throw new Error(`iperf3 through ${subject.name}: ${why}`);
}

async function visit(entry: Entry, amount: readonly string[]): Promise<void> {
  await entry.take(key, async () => {
    const { error, end } = await transfer(entry.subject, amount);
    if (error || !end) throw new Error(`iperf3 through ${entry.subject.name}: ${error}`);
    const values = {
      [rate]: end.sum_received.bits_per_second / 1e9,
      [resent]: end.sum_sent.retransmits,
    };
    return { values, others: 0 };
  });
}

/** The second of a kind has queues. */
const hasQueues = (entry: Entry, entries: readonly Entry[]): boolean =>
  entries.find((e) => e.subject.name === entry.subject.name) !== entry;

function casesOf(entries: readonly Entry[]): (Measured | Skipped)[] {
  const common = { flows: 1, family: 4, workers: 1 };
  const cases: (Measured | Skipped)[] = [];
  for (const entry of entries) {
    const { services } = entry.subject;
    const parameters = { services, ...(hasQueues(entry, entries) ? { qdisc: "pfifo" } : {}) };
    for (const figure of [rate, resent])
      cases.push(...entry.cases(key, figure, { ...parameters, ...common }));
  }
  const theirs = find(entries, "nftables", services);
  for (const name of ["af_packet", "tap", "af_xdp"] as const) {
    const ours = find(entries, name, services);
    if (!ours || !theirs) continue;
    cases.push(
      ...ratios(
        `${name} / nftables`,
        { services, ...common, of: rate },
        ours.samples(key, rate),
        theirs.samples(key, rate),
        name === "af_xdp" ? undefined : { atLeast: goal },
      ),
    );
  }
  return cases;
}

export const vethBulk = seriesQuestion<Plan>({
  name: "veth_bulk",
  about:
    "one TCP connection of iperf3 over veth: kube-proxy's rules, af_xdp, af_packet, tap (root)",
  subject: "af_packet",
  programs: ["iperf3"],
  outside: "equal",
  plan: (isFull, isShort) => ({
    wishes: wishesOf(isFull),
    amount: isShort ? ["-n", "64M"] : ["-t", "1"],
    rounds: { full: 25, quick: 15 },
    secondsMax: 105,
  }),
  async measure(entries, { amount }, rounds) {
    for (const { subject } of entries) {
      if (subject.name !== "tap") allowLarge(subject.net);
      await serve(subject);
    }
    for (const entry of entries) {
      if (hasQueues(entry, entries)) addQueues(entry.subject.net);
    }
    await rounds((entry) => visit(entry, amount));
  },
  cases: casesOf,
});
