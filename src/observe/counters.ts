// The workers' counters, read from the memory they write to (native/packet/batch.h, Counters).
import { type CounterName, counterNames } from "../gen/counters.js";
import { type DropName, dropNames } from "../gen/drops.js";
import { portMax } from "../gen/layout.js";
import { check } from "../kit/check.js";
import type { Dataplane } from "../runtime/dataplane.js";

export interface PortCounters {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
}
export interface Counters {
  /** Totals over the workers. */
  readonly counts: Record<CounterName, number>;
  /** Only drops that happened. */
  readonly drops: Partial<Record<DropName, number>>;
  readonly ports: Record<string, PortCounters>;
}

const portWords = 4;
const portStart = dropNames.length + counterNames.length;
/** 64-bit words of one worker's block; blocks are padded to `countersStride`. */
export const counterWords = portStart + portMax * portWords;

/** Sums word `index` of every block. Counts stay below 2^53 for a thousand years of packets. */
function sum(blocks: readonly BigUint64Array[], index: number): number {
  let total = 0n;
  for (const block of blocks) total += block[index] ?? 0n;
  return Number(total);
}

export function decodeCounters(
  memory: ArrayBuffer,
  stride: number,
  ports: readonly { name: string; id: number }[],
): Counters {
  check(stride >= counterWords * 8, "the native module counts as this build does");
  const blocks: BigUint64Array[] = [];
  for (let at = 0; at + counterWords * 8 <= memory.byteLength; at += stride) {
    blocks.push(new BigUint64Array(memory, at, counterWords));
  }
  const counts = Object.fromEntries(
    counterNames.map((name, i) => [name, sum(blocks, dropNames.length + i)]),
  ) as Record<CounterName, number>;
  const drops: Partial<Record<DropName, number>> = {};
  dropNames.forEach((name, i) => {
    const count = sum(blocks, i);
    if (i > 0 && count > 0) drops[name] = count;
  });
  const byPort = ports.map(({ name, id }): [string, PortCounters] => {
    const at = portStart + id * portWords;
    const [rxPackets = 0, rxBytes = 0, txPackets = 0, txBytes = 0] = [0, 1, 2, 3].map((k) =>
      sum(blocks, at + k),
    );
    return [name, { rxPackets, rxBytes, txPackets, txBytes }];
  });
  return { counts, drops, ports: Object.fromEntries(byPort) };
}

export const readCounters = (dataplane: Dataplane): Counters =>
  decodeCounters(dataplane.native.counters(), dataplane.info().countersStride, dataplane.ports);

/**
 * packets in + originated - packets out - drops - consumed - held: zero whenever no packet is on its
 * way, whatever happened before.
 */
export function imbalance({ counts, drops }: Pick<Counters, "counts" | "drops">): number {
  const dropped = Object.values(drops).reduce((total, n) => total + n, 0);
  const { packets_in, originated, packets_out, consumed, held } = counts;
  return packets_in + originated - packets_out - dropped - consumed - held;
}
