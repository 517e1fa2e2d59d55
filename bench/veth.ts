// bench veth: a node between a client and its endpoints, by the kernel's ways and by ours. For all
// the same generator and sink (veth_peer.ts), one core for the node, the other for all else.
import type { Goal } from "./goal.js";
import { ratios } from "./ratio.js";
import type { Measured, Parameters, Skipped } from "./report.js";
import { type Entry, find } from "./veth_entry.js";
import { deferSink } from "./veth_net.js";
import { each, type SeriesPlan, seriesQuestion, serviceCounts } from "./veth_series.js";
import { isBare, type SampleWish } from "./veth_subjects.js";

const bytes = 64;
/** Packets per second of latency: few enough for every subject to keep up with. */
const calmRate = 20_000;
const calmFlows = 1_000;
/** It has no goal: every third round will do. */
const calmEvery = 3;
/** More than the fastest makes in a sample, so that none comes twice. */
const newFlows = 400_000;

const establishedGoal = 1.5;
const newGoal = 3;
const flatGoal = 0.9;

const mpps = "Mpps";
const perCpu = "Mpps per CPU second";
const machineCost = "ns machine CPU/packet";

interface Plan extends SeriesPlan {
  readonly flows: readonly number[];
  /** New flows are measured where there are at least so many services. */
  readonly newFrom: number;
  readonly pace: { readonly warmMs: number; readonly sampleMs: number };
}

function planOf(isFull: boolean, isShort: boolean): Plan {
  const counts = serviceCounts(isFull, isShort);
  return {
    wishes: [
      ...each("forwarding", [0]),
      ...each("xdp_redirect", [0]),
      ...each("af_xdp_forward", [0]),
      ...each("nftables", counts),
      ...each("iptables", isFull || isShort ? counts : [1_000]),
      ...each("af_xdp", counts),
      ...each("af_packet", isFull || isShort ? counts : [1_000]),
    ],
    flows: isFull ? [1_000, 10_000] : [10_000],
    newFrom: isFull || isShort ? 1 : 1_000,
    rounds: { full: 25, quick: 15 },
    secondsMax: 95,
    pace: isShort ? { warmMs: 60, sampleMs: 60 } : { warmMs: 100, sampleMs: 150 },
  };
}

async function established(entry: Entry, wish: SampleWish, key: string): Promise<void> {
  await entry.take(key, async () => {
    const s = await entry.subject.sample(wish);
    return {
      values: {
        [mpps]: s.received / s.seconds / 1e6,
        [perCpu]: (s.received / s.cpuNs) * 1e3,
        [machineCost]: s.machineNs / s.received,
      },
      others: s.others,
    };
  });
}

/** Those that the goal is about are measured with a sink that they need not wake, too. */
const isDeferredToo = ({ subject }: Entry, plan: Plan): boolean =>
  (subject.name === "nftables" || subject.name === "af_xdp") && subject.services >= plan.newFrom;

async function visit(entry: Entry, round: number, plan: Plan): Promise<void> {
  for (const flows of plan.flows)
    await established(entry, { flows, ...plan.pace }, `established ${flows}`);
  if (isDeferredToo(entry, plan)) {
    deferSink(entry.subject.net, true);
    for (const flows of plan.flows)
      await established(entry, { flows, ...plan.pace }, `deferred ${flows}`);
    deferSink(entry.subject.net, false);
  }
  if (round % calmEvery === 0)
    await entry.take("latency", async () => {
      const { latency, others } = await entry.subject.sample({
        flows: calmFlows,
        packetsPerSecond: calmRate,
        ...plan.pace,
      });
      return { values: { "us p50": latency.p50 / 1e3, "us p99": latency.p99 / 1e3 }, others };
    });
  if (isBare(entry.subject.name) || entry.subject.services < plan.newFrom) return;
  entry.subject.forgetFlows();
  const firstFlow = (1 + (round % 64)) * newFlows;
  // Nothing is known yet when the interval begins, but that the generator is on its way.
  await established(entry, { flows: newFlows, firstFlow, ...plan.pace, warmMs: 30 }, "new");
  entry.subject.forgetFlows();
}

/** Packets per second and per CPU second of one against another. */
function compared(
  subject: string,
  parameters: Parameters,
  key: string,
  ours: Entry | undefined,
  theirs: Entry | undefined,
  goal?: Goal,
): (Measured | Skipped)[] {
  if (!ours || !theirs) return [];
  if (ours.samples(key, mpps).length === 0 || theirs.samples(key, mpps).length === 0) return [];
  return [mpps, perCpu].flatMap((figure) =>
    ratios(
      subject,
      { ...parameters, of: figure },
      ours.samples(key, figure),
      theirs.samples(key, figure),
      goal,
    ),
  );
}

function casesOf(entries: readonly Entry[], plan: Plan): (Measured | Skipped)[] {
  const common = { family: 4, workers: 1, bytes };
  const cases: (Measured | Skipped)[] = [];
  const add = (key: string, parameters: Parameters, figures: readonly string[]): void => {
    for (const entry of entries) {
      const { services } = entry.subject;
      for (const figure of figures)
        cases.push(...entry.cases(key, figure, { services, ...parameters, ...common }));
    }
  };
  for (const flows of plan.flows)
    add(`established ${flows}`, { packets: "established", flows }, [mpps, perCpu, machineCost]);
  for (const flows of plan.flows)
    add(`deferred ${flows}`, { packets: "established", sink: "deferred", flows }, [mpps, perCpu]);
  add("new", { packets: "new flow each", flows: newFlows }, [mpps, perCpu]);
  add("latency", { packets: "established", flows: calmFlows, rate: calmRate }, [
    "us p50",
    "us p99",
  ]);
  const counts = new Set(entries.map((e) => e.subject.services).filter((n) => n > 0));
  for (const services of counts) {
    const ours = find(entries, "af_xdp", services);
    for (const peer of ["nftables", "iptables"] as const) {
      const theirs = find(entries, peer, services);
      const isGoal = peer === "nftables";
      for (const flows of plan.flows)
        for (const [key, sink] of [
          [`established ${flows}`, {}],
          [`deferred ${flows}`, { sink: "deferred" }],
        ] as const)
          cases.push(
            ...compared(
              `af_xdp / ${peer}`,
              { packets: "established", ...sink, flows, services, ...common },
              key,
              ours,
              theirs,
              isGoal && flows === 10_000 ? { atLeast: establishedGoal } : undefined,
            ),
          );
      cases.push(
        ...compared(
          `af_xdp / ${peer}`,
          { packets: "new flow each", flows: newFlows, services, ...common },
          "new",
          ours,
          theirs,
          isGoal && services === 10_000 ? { atLeast: newGoal } : undefined,
        ),
      );
    }
    if (services === 1) continue;
    for (const flows of plan.flows)
      cases.push(
        ...compared(
          "af_xdp / af_xdp with 1 service",
          { packets: "established", flows, services, ...common },
          `established ${flows}`,
          ours,
          find(entries, "af_xdp", 1),
          { atLeast: flatGoal },
        ),
      );
  }
  return cases;
}

export const veth = seriesQuestion<Plan>({
  name: "veth",
  about: "a node over veth: kube-proxy's nftables and iptables rules, XDP, and ours (root)",
  subject: "af_xdp",
  programs: [],
  outside: "first",
  plan: planOf,
  measure: (_, plan, rounds) => rounds((entry, round) => visit(entry, round, plan)),
  cases: casesOf,
});
