// bench veth_connections: new TCP connections through a node, each with a request and its answer.
import type { Goal } from "./goal.js";
import type { Measured, Skipped } from "./report.js";
import type { Comparison } from "./veth_compare.js";
import { type Entry, find } from "./veth_entry.js";
import { deferNode } from "./veth_net.js";
import { runTimes } from "./veth_peer.js";
import { each, type Group, type SeriesPlan, seriesQuestion, serviceCounts } from "./veth_series.js";
import { concurrency, Web } from "./veth_web.js";

const goalRatio = 1;
/** What has no goal is measured in every so many-th round. */
const seldom = 4;
type Servers = Map<Entry, Web>;
const key = "connections";
const deferredKey = `${key} deferred`;
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
    requests: isShort ? 500 : 2_500,
    secondsMax: isFull ? 240 : 35,
  };
}

async function visit(entry: Entry, web: Web, requests: number, at: string): Promise<void> {
  const { node, workers } = entry.subject.tasks;
  await entry.take(at, async () => {
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

/** af_xdp beside each of the kernel's, with and without a goal. */
interface Match {
  readonly ours: Entry;
  readonly theirs: Entry;
  /** Samples are told apart by what they were taken beside. */
  readonly keys: { readonly ours: string; readonly theirs: string };
  /** The NAPI of their node looks by a timer, as ours does. */
  readonly isDeferred: boolean;
  readonly goal?: Goal;
}

function matchesOf(entries: readonly Entry[]): Match[] {
  return entries.flatMap((theirs): Match[] => {
    const { name, services } = theirs.subject;
    const ours = find(entries, "af_xdp", services);
    if (!ours || (name !== "nftables" && name !== "iptables")) return [];
    const match = (keys: Match["keys"], isDeferred = false): Match => ({
      ours,
      theirs,
      keys,
      isDeferred,
    });
    if (name === "iptables") return [match({ ours: `${key} beside iptables`, theirs: key })];
    const hasGoal = services >= 1_000;
    return [
      {
        ...match({ ours: key, theirs: key }),
        ...(hasGoal ? { goal: { atLeast: goalRatio } } : {}),
      },
      match({ ours: `${key} beside ${deferredKey}`, theirs: deferredKey }, true),
    ];
  });
}

type Step = () => Promise<void>;

const deferring =
  ({ subject: { net } }: Entry, step: Step) =>
  async () => {
    deferNode(net, true);
    await step();
    deferNode(net, false);
  };

function groupsOf(entries: readonly Entry[], servers: Servers, requests: number): Group[] {
  const step = (entry: Entry, at: string) => () =>
    visit(entry, servers.get(entry) as Web, requests, at);
  const others = entries.filter(
    ({ subject: { name } }) => name === "forwarding" || name === "af_packet",
  );
  return [
    ...matchesOf(entries).map(({ ours, theirs, keys, isDeferred, goal }) => {
      const their = step(theirs, keys.theirs);
      return {
        every: goal ? 1 : seldom,
        steps: [isDeferred ? deferring(theirs, their) : their, step(ours, keys.ours)],
      };
    }),
    ...others.map((entry) => ({ every: seldom, steps: [step(entry, key)] })),
  ];
}

const common = { family: 4, workers: 1, concurrency };

const compare = (entries: readonly Entry[]): Comparison[] =>
  matchesOf(entries).map(({ ours, theirs, keys, isDeferred, goal }) => ({
    subject: `af_xdp / ${theirs.subject.name}`,
    parameters: {
      services: ours.subject.services,
      ...(isDeferred ? { deferred: "node" } : {}),
      ...common,
    },
    ours: { entry: ours, key: keys.ours },
    theirs: { entry: theirs, key: keys.theirs },
    figures: { [perSecond]: goal, "us p50": undefined, "us p99": undefined, [cost]: undefined },
  }));

const casesOf = (entries: readonly Entry[]): (Measured | Skipped)[] =>
  entries.flatMap((entry) =>
    [key, deferredKey].flatMap((at) =>
      figures.flatMap((figure) => {
        const { services } = entry.subject;
        const deferred = at === deferredKey ? { deferred: "node" } : {};
        return entry.cases(at, figure, { services, ...deferred, ...common });
      }),
    ),
  );

export const vethConnections = seriesQuestion<Plan>({
  name: "veth_connections",
  about: "new TCP connections to a web server over veth: kube-proxy's rules and ours (root)",
  subject: "af_xdp",
  programs: ["nginx", "ab"],
  outside: "equal",
  plan: planOf,
  async measure(entries, { requests }, rounds) {
    const servers: Servers = new Map();
    try {
      for (const entry of entries) servers.set(entry, await Web.open(entry.subject));
      await rounds(groupsOf(entries, servers, requests));
    } finally {
      for (const server of servers.values()) server.close();
    }
  },
  compare,
  cases: casesOf,
});
