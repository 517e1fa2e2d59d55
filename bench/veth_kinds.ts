// The kinds of samples of bench veth.
import type { Parameters } from "./report.js";
import { each, type SeriesPlan, serviceCounts } from "./veth_series.js";
import type { SampleWish } from "./veth_subjects.js";

/** Packets per second of latency: few enough for every subject to keep up with. */
const calmRate = 20_000;
const calmFlows = 1_000;
/** More than the fastest makes in a sample, so that none comes twice. */
const newFlows = 400_000;
/** Of the goals. */
const goalFlows = 10_000;

export const mpps = "Mpps";
export const perCpu = "Mpps per CPU second";
export const machineCost = "ns machine CPU/packet";
const latencies = ["us p50", "us p99"];

/** A kind of samples. */
export interface Kind {
  readonly key: string;
  readonly parameters: Parameters;
  wish(round: number): SampleWish;
  /** Whose NAPI looks by a timer (veth_net.ts): the sink's, or the node's, too. */
  readonly deferred?: "sink" | "both";
  readonly isNew?: boolean;
  readonly figures: readonly string[];
}

export interface Plan extends SeriesPlan {
  readonly established: Kind;
  /** The same with fewer flows, in the full form. */
  readonly fewer: Kind | undefined;
  readonly sinkDeferred: Kind;
  readonly bothDeferred: Kind | undefined;
  readonly new: Kind;
  readonly latency: Kind;
  /** New flows are measured where there are at least so many services. */
  readonly newFrom: number;
}

export function planOf(isFull: boolean, isShort: boolean): Plan {
  const counts = serviceCounts(isFull, isShort);
  const pace = isShort ? { warmMs: 40, sampleMs: 40 } : { warmMs: 60, sampleMs: 120 };
  const established = (flows: number, deferred?: "sink" | "both"): Kind => ({
    key: `established ${flows} ${deferred}`,
    parameters: { packets: "established", ...(deferred ? { deferred } : {}), flows },
    wish: () => ({ flows, ...pace }),
    figures: [mpps, perCpu, machineCost],
    ...(deferred ? { deferred } : {}),
  });
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
    established: established(goalFlows),
    fewer: isFull ? established(1_000) : undefined,
    sinkDeferred: established(goalFlows, "sink"),
    bothDeferred: isFull ? established(goalFlows, "both") : undefined,
    new: {
      key: "new",
      parameters: { packets: "new flow each", flows: newFlows },
      // Nothing is known yet when the interval begins, but that the generator is on its way.
      wish: (round) => ({
        flows: newFlows,
        firstFlow: (1 + (round % 64)) * newFlows,
        ...pace,
        warmMs: 30,
      }),
      isNew: true,
      figures: [mpps, perCpu],
    },
    latency: {
      key: "latency",
      parameters: { packets: "established", flows: calmFlows, rate: calmRate },
      wish: () => ({ flows: calmFlows, packetsPerSecond: calmRate, ...pace }),
      figures: latencies,
    },
    newFrom: isFull || isShort ? 1 : 1_000,
    secondsMax: isFull ? 300 : 40,
  };
}
