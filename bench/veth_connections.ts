// bench veth_connections: new TCP connections through a node, each with a request and its answer.
import { ratios } from "./ratio.js";
import type { Measured, Skipped } from "./report.js";
import { type Entry, find } from "./veth_entry.js";
import { runTimes } from "./veth_peer.js";
import { each, type SeriesPlan, seriesQuestion, serviceCounts } from "./veth_series.js";
import { concurrency, Web } from "./veth_web.js";

const goal = 1;
const key = "connections";
const perSecond = "connections/s";
const cost = "us node CPU/connection";
const figures = [perSecond, "us p50", "us p99", cost] as const;

interface Plan extends SeriesPlan {
  readonly requests: number;
}

function planOf(isFull: boolean, isShort: boolean): Plan {
  const counts = serviceCounts(isFull, isShort);
  return {
    wishes: [
      ...each("forwarding", [0]),
      ...each("nftables", counts),
      ...each("iptables", isFull || isShort ? counts : [1_000]),
      ...each("af_xdp", counts),
      ...each("af_packet", isFull || isShort ? counts : [1_000]),
    ],
    requests: isShort ? 500 : 4_000,
    rounds: { full: 40, quick: 25 },
    secondsMax: 90,
  };
}

async function visit(entry: Entry, web: Web, requests: number): Promise<void> {
  const { node, workers } = entry.subject.tasks;
  await entry.take(key, async () => {
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
      cases.push(...entry.cases(key, figure, { services: entry.subject.services, ...common }));
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
            ours.samples(key, figure),
            theirs.samples(key, figure),
            hasGoal && figure === perSecond ? { atLeast: goal } : undefined,
          ),
        );
    }
  }
  return cases;
}

export const vethConnections = seriesQuestion<Plan>({
  name: "veth_connections",
  about: "new TCP connections to a web server over veth: kube-proxy's rules and ours (root)",
  subject: "af_xdp",
  programs: ["nginx", "ab"],
  outside: "equal",
  plan: planOf,
  async measure(entries, { requests }, rounds) {
    const servers = new Map<Entry, Web>();
    try {
      for (const entry of entries) servers.set(entry, await Web.open(entry.subject));
      await rounds((entry) => visit(entry, servers.get(entry) as Web, requests));
    } finally {
      for (const server of servers.values()) server.close();
    }
  },
  cases: casesOf,
});
