// bench veth: a node between a client and its endpoints, by the kernel's ways and by ours. For all
// the same generator and sink (veth_peer.ts), one core for the node, the other for all else.
import type { Goal } from "./goal.js";
import type { Measured, Skipped } from "./report.js";
import type { Comparison } from "./veth_compare.js";
import { type Entry, find } from "./veth_entry.js";
import { type Kind, machineCost, mpps, type Plan, perCpu, planOf } from "./veth_kinds.js";
import { deferNode, deferSink } from "./veth_net.js";
import { type Group, seriesQuestion } from "./veth_series.js";
import { isBare, isKernel } from "./veth_subjects.js";

const common = { family: 4, workers: 1, bytes: 64 };
/** What has no goal is measured in every so many-th round. */
const seldom = 8;
const deferredEvery = 2;

const establishedGoal = 1.5;
const newGoal = 3;
const flatGoal = 0.9;

function defer({ subject }: Entry, { deferred }: Kind, isOn: boolean): void {
  if (deferred) deferSink(subject.net, isOn);
  // An af_xdp port does so by itself.
  if (deferred === "both" && isKernel(subject.name)) deferNode(subject.net, isOn);
}

async function take(entry: Entry, kind: Kind, key: string, round: number): Promise<void> {
  const { subject } = entry;
  defer(entry, kind, true);
  if (kind.isNew) subject.forgetFlows();
  await entry.take(key, async () => {
    const s = await subject.sample(kind.wish(round));
    const values = s.latency
      ? { "us p50": s.latency.p50 / 1e3, "us p99": s.latency.p99 / 1e3 }
      : {
          [mpps]: s.received / s.seconds / 1e6,
          [perCpu]: (s.received / s.cpuNs) * 1e3,
          [machineCost]: s.machineNs / s.received,
        };
    return { values, others: s.others };
  });
  if (kind.isNew) subject.forgetFlows();
  defer(entry, kind, false);
}

const step =
  (entry: Entry, kind: Kind, key = kind.key) =>
  (round: number) =>
    take(entry, kind, key, round);

/** One kind of samples of ours and theirs. */
interface Match {
  readonly kind: Kind;
  readonly theirs: Entry;
  readonly ours: Entry;
  readonly every: number;
  readonly goal?: Goal | undefined;
  /** Ours with one service, which the same with more is compared with. */
  readonly one?: Entry | undefined;
}

/** Our samples are told apart by what they were taken beside. */
const oursKey = ({ kind, theirs }: Match): string =>
  theirs.subject.name === "nftables" ? kind.key : `${kind.key} beside ${theirs.subject.name}`;
const oneKey = ({ kind, ours }: Match): string => `${kind.key} beside ${ours.subject.services}`;

const goalOf = (atLeast: number): Goal => ({ atLeast });

function matchesOf(entries: readonly Entry[], plan: Plan): Match[] {
  const matches: Match[] = [];
  const one = find(entries, "af_xdp", 1);
  for (const theirs of entries) {
    const { name, services } = theirs.subject;
    const ours = find(entries, "af_xdp", services);
    if (!ours || (name !== "nftables" && name !== "iptables")) continue;
    const isNft = name === "nftables";
    const add = (kind: Kind | undefined, goal?: Goal, withOne?: Entry): void => {
      const every = goal ? 1 : kind?.deferred ? deferredEvery : seldom;
      if (kind) matches.push({ kind, theirs, ours, every, goal, one: withOne });
    };
    const flat = services > 1 && isNft ? one : undefined;
    add(plan.established, isNft ? goalOf(establishedGoal) : undefined, flat);
    if (isNft) {
      add(plan.fewer);
      add(plan.sinkDeferred);
      add(plan.bothDeferred);
    }
    if (services >= plan.newFrom)
      add(plan.new, isNft && services === 10_000 ? goalOf(newGoal) : undefined);
  }
  return matches;
}

function groupsOf(entries: readonly Entry[], plan: Plan): Group[] {
  const matches: Group[] = matchesOf(entries, plan).map((m) => ({
    every: m.every,
    steps: [
      step(m.theirs, m.kind),
      step(m.ours, m.kind, oursKey(m)),
      ...(m.one ? [step(m.one, m.kind, oneKey(m))] : []),
    ],
  }));
  const others = entries.filter(
    ({ subject }) => isBare(subject.name) || subject.name === "af_packet",
  );
  const alone = others.map((entry) => {
    const hasNew = !isBare(entry.subject.name) && entry.subject.services >= plan.newFrom;
    const steps = [step(entry, plan.established), ...(hasNew ? [step(entry, plan.new)] : [])];
    return { every: seldom, steps };
  });
  const calm = entries.map((entry) => ({ every: seldom, steps: [step(entry, plan.latency)] }));
  return [...matches, ...alone, ...calm];
}

function compare(entries: readonly Entry[], plan: Plan): Comparison[] {
  return matchesOf(entries, plan).flatMap((m) => {
    const { kind, goal, one } = m;
    const ours = { entry: m.ours, key: oursKey(m) };
    const { services } = m.ours.subject;
    const parameters = { ...kind.parameters, services, ...common };
    const to = (subject: string, theirs: Comparison["theirs"], atLeast?: Goal): Comparison => ({
      subject,
      parameters,
      ours,
      theirs,
      figures: { [mpps]: atLeast, [perCpu]: atLeast },
    });
    const { name } = m.theirs.subject;
    const all = [to(`af_xdp / ${name}`, { entry: m.theirs, key: kind.key }, goal)];
    if (one)
      all.push(
        to("af_xdp / af_xdp with 1 service", { entry: one, key: oneKey(m) }, goalOf(flatGoal)),
      );
    return all;
  });
}

function casesOf(entries: readonly Entry[], plan: Plan): (Measured | Skipped)[] {
  const { established, fewer, sinkDeferred, bothDeferred, latency } = plan;
  const kinds = [established, fewer, sinkDeferred, bothDeferred, plan.new, latency];
  return kinds.flatMap((kind) =>
    kind
      ? entries.flatMap((entry) =>
          kind.figures.flatMap((figure) => {
            const { services } = entry.subject;
            return entry.cases(kind.key, figure, { services, ...kind.parameters, ...common });
          }),
        )
      : [],
  );
}

export const veth = seriesQuestion<Plan>({
  name: "veth",
  about: "a node over veth: kube-proxy's nftables and iptables rules, XDP, and ours (root)",
  subject: "af_xdp",
  programs: [],
  outside: "first",
  plan: planOf,
  measure: (entries, plan, rounds) => rounds(groupsOf(entries, plan)),
  compare,
  cases: casesOf,
});
