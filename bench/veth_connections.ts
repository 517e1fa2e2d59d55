// bench veth_connections: new TCP connections through a node, each with a request and its answer.
import { messageOf } from "../src/kit/error.js";
import type { Question } from "./questions.js";
import { ratios } from "./ratio.js";
import { type Measured, machineFacts, type Report, type Skipped } from "./report.js";
import { runTimes } from "./veth_peer.js";
import { isInstalled, needsRoot } from "./veth_peers.js";
import {
  type Entry,
  figureCase,
  find,
  inRounds,
  samplesOf,
  secondsMax,
  take,
  type Wish,
  withSubjects,
} from "./veth_series.js";
import { concurrency, Web } from "./veth_web.js";

const question = "veth_connections";
const goal = 1;
const key = "connections";
const perSecond = "connections/s";
const cost = "us node CPU/connection";
const figures = [perSecond, "us p50", "us p99", cost] as const;

interface Plan {
  readonly wishes: readonly Wish[];
  readonly requests: number;
  readonly rounds: number;
  readonly secondsMax: number;
}

function planOf(isFull: boolean, rounds: number | undefined): Plan {
  const isShort = rounds === 1;
  const counts = isFull ? [1, 1_000, 5_000, 10_000] : isShort ? [100] : [1, 1_000];
  const each = (name: Wish["name"], all = counts): Wish[] =>
    all.map((services) => ({ name, services }));
  return {
    wishes: [
      ...each("forwarding", [0]),
      ...each("nftables"),
      ...each("iptables", isFull || isShort ? counts : [1_000]),
      ...each("af_xdp"),
      ...each("af_packet", isFull || isShort ? counts : [1_000]),
    ],
    requests: isShort ? 500 : 4_000,
    rounds: rounds ?? (isFull ? 40 : 25),
    secondsMax: secondsMax(isFull, rounds, 90),
  };
}

async function visit(entry: Entry, web: Web, requests: number): Promise<void> {
  const { node, workers } = entry.subject.tasks;
  await take(entry, key, async () => {
    const before = runTimes([...node, ...workers]);
    const s = await web.sample(requests);
    const spent = runTimes([...node, ...workers]) - before;
    const values = {
      [perSecond]: s.connectionsPerSecond,
      "us p50": s.p50,
      "us p99": s.p99,
      [cost]: spent / requests / 1e3,
    };
    return { values, others: 0 };
  });
}

function casesOf(entries: readonly Entry[]): (Measured | Skipped)[] {
  const common = { family: 4, workers: 1, concurrency };
  const cases: (Measured | Skipped)[] = [];
  for (const entry of entries)
    for (const figure of figures)
      cases.push(
        ...figureCase(entry, key, figure, { services: entry.subject.services, ...common }),
      );
  for (const ours of entries) {
    const { name, services } = ours.subject;
    if (name !== "af_xdp" && name !== "af_packet") continue;
    for (const peer of ["nftables", "iptables"] as const) {
      const theirs = find(entries, peer, services);
      if (!theirs) continue;
      const hasGoal = name === "af_xdp" && services >= 1_000;
      for (const figure of [perSecond, cost])
        cases.push(
          ...ratios(
            `${name} / ${peer}`,
            { services, ...common, of: figure },
            samplesOf(ours, key, figure),
            samplesOf(theirs, key, figure),
            hasGoal && figure === perSecond ? { atLeast: goal } : undefined,
          ),
        );
    }
  }
  return cases;
}

export const vethConnections: Question = {
  name: question,
  about: "new TCP connections to a web server over veth: kube-proxy's rules and ours (root)",
  async run({ isFull, rounds, progress }): Promise<Report> {
    const unable = needsRoot() ?? ["nginx", "ab"].find((p) => !isInstalled(p));
    if (unable) {
      const skipped = { subject: "af_xdp", skipped: unable };
      return { question, machine: machineFacts(), cases: [skipped] };
    }
    const plan = planOf(isFull, rounds);
    const servers = new Map<Entry, Web>();
    try {
      return await withSubjects(plan.wishes, "equal", async (entries, skipped) => {
        for (const entry of entries) servers.set(entry, await Web.open(entry.subject));
        await inRounds(entries, { ...plan, progress }, (entry) =>
          visit(entry, servers.get(entry) as Web, plan.requests),
        );
        return { question, machine: machineFacts(), cases: [...casesOf(entries), ...skipped] };
      });
    } catch (cause) {
      throw new Error(`bench ${question}: ${messageOf(cause)}`, { cause });
    } finally {
      for (const server of servers.values()) server.close();
    }
  },
};
