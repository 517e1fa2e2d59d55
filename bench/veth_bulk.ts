// bench veth_bulk: one TCP connection of iperf3 as fast as it goes, with segmentation offload where
// the way keeps it.
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../src/kit/error.js";
import type { Measured, Skipped } from "./report.js";
import type { Comparison } from "./veth_compare.js";
import { type Entry, find } from "./veth_entry.js";
import { addQueues, allowLarge, backendAddresses, outsideCore } from "./veth_net.js";
import { type Group, type SeriesPlan, seriesQuestion, type Wish } from "./veth_series.js";
import { bulk } from "./veth_services.js";
import { isBare, type Subject } from "./veth_subjects.js";

const services = 1_000;
const goal = 0.5;
/** What has no goal is measured in every so many-th round. */
const seldom = 4;
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
  const options = { timeout: 60_000, killSignal: "SIGKILL" as const, maxBuffer: 8 << 20 };
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
    await sleep(100);
  }
  throw new Error(`iperf3 through ${subject.name}: ${why}`);
}

async function visit(entry: Entry, amount: readonly string[], at: string): Promise<void> {
  await entry.take(at, async () => {
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

const common = { flows: 1, family: 4, workers: 1 };

/** With segmentation offload kept there is a goal, and they come round as often as what they are compared with. */
const offloading = ["af_packet", "tap"] as const;
const besideKey = `${key} beside`;

function groupsOf(entries: readonly Entry[], amount: readonly string[]): Group[] {
  const step = (entry: Entry, at: string) => () => visit(entry, amount, at);
  const together = (names: readonly string[]) =>
    entries.filter((e) => names.includes(e.subject.name) && !hasQueues(e, entries));
  const nftables = together(["nftables"]);
  const first = [...nftables, ...together(offloading)].map((e) => step(e, key));
  const second = [
    ...nftables.map((e) => step(e, besideKey)),
    ...together(["af_xdp"]).map((e) => step(e, key)),
  ];
  const others = entries.filter(
    (e) =>
      !["nftables", "af_packet", "tap"].includes(e.subject.name) &&
      !together(["af_xdp"]).includes(e),
  );
  return [
    { every: 1, steps: first },
    { every: seldom, steps: second },
    ...others.map((e) => ({ every: seldom, steps: [step(e, key)] })),
  ];
}

function compare(entries: readonly Entry[]): Comparison[] {
  const nftables = find(entries, "nftables", services);
  return (["af_packet", "tap", "af_xdp"] as const).flatMap((name) => {
    const ours = find(entries, name, services);
    if (!ours || !nftables) return [];
    const isGoal = name !== "af_xdp";
    return {
      subject: `${name} / nftables`,
      parameters: { services, ...common },
      ours: { entry: ours, key },
      theirs: { entry: nftables, key: isGoal ? key : besideKey },
      figures: { [rate]: isGoal ? { atLeast: goal } : undefined },
    };
  });
}

const casesOf = (entries: readonly Entry[]): (Measured | Skipped)[] =>
  entries.flatMap((entry) => {
    const { services } = entry.subject;
    const parameters = { services, ...(hasQueues(entry, entries) ? { qdisc: "pfifo" } : {}) };
    return [rate, resent].flatMap((figure) =>
      entry.cases(key, figure, { ...parameters, ...common }),
    );
  });

export const vethBulk = seriesQuestion<Plan>({
  name: "veth_bulk",
  about:
    "one TCP connection of iperf3 over veth: kube-proxy's rules, af_xdp, af_packet, tap (root)",
  subject: "af_packet",
  programs: ["iperf3"],
  outside: "equal",
  plan: (isFull, isShort) => ({
    wishes: wishesOf(isFull),
    amount: ["-n", isShort ? "64M" : "512M"],
    secondsMax: isFull ? 120 : 35,
  }),
  async measure(entries, { amount }, rounds) {
    for (const { subject } of entries) {
      if (subject.name !== "tap") allowLarge(subject.net);
      await serve(subject);
    }
    for (const entry of entries) {
      if (hasQueues(entry, entries)) addQueues(entry.subject.net);
    }
    await rounds(groupsOf(entries, amount));
  },
  compare,
  cases: casesOf,
});
