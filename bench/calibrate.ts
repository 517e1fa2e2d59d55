// From which size and number of packets on an engine is worth its handing over: `bytesMin` and
// `batchMin` of the configuration's section `copy`, for the machine that this runs on.
import type { NativeDsaQueue } from "../src/runtime/native.js";
import { CopyLaps, lapPackets } from "./copy_lap.js";
import { copyOptions, type EngineName } from "./memif_ports.js";
import { type Measured, measured, median, type Parameters } from "./report.js";

const sizes = [64, 128, 192, 256, 384, 512, 768, 1024, 1500] as const;
const batches = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;
/** For the number of packets: an ordinary full-sized one. They come alone, to an engine that sleeps. */
const batchBytes = 1500;
const laps = 5;

/** The first of `steps` from which on the engine stays cheaper; null: it never is. */
function breakEven(
  steps: readonly number[],
  own: readonly number[],
  cpu: readonly number[],
): number | null {
  let found: number | null = null;
  for (let i = steps.length - 1; i >= 0; i--) {
    if ((own[i] as number) >= (cpu[i] as number)) break;
    found = steps[i] as number;
  }
  return found;
}

/** Worker ns per packet, median over interleaved rounds: [subject][step]. */
function measureSteps<T>(
  subjects: readonly T[],
  steps: readonly number[],
  rounds: number,
  lap: (subject: T, step: number) => number,
): number[][] {
  const values = subjects.map(() => steps.map((): number[] => []));
  for (let round = 0; round < rounds; round++)
    steps.forEach((step, i) => {
      subjects.forEach((subject, s) => {
        values[s]?.[i]?.push(lap(subject, step));
      });
    });
  return values.map((all) => all.map(median));
}

export interface Calibration {
  readonly cases: readonly Measured[];
  readonly recommended: Readonly<Record<string, Parameters>>;
}

/** For every engine but `cpu`, which they are compared with. Recommends the one that leaves least. */
export function calibrate(
  engines: readonly EngineName[],
  queues: NativeDsaQueue[],
  rounds: number,
): Calibration {
  const open: CopyLaps[] = [];
  const make = (bytes: number, engine: EngineName): CopyLaps => {
    const all = new CopyLaps(bytes, copyOptions(engine, { bytesMin: 0, batchMin: 1, queues }));
    open.push(all);
    return all;
  };
  try {
    const bySize = engines.map(
      (e) => new Map(sizes.map((bytes) => [bytes as number, make(bytes, e)])),
    );
    const perPacket = (laps_: CopyLaps | undefined, packets: number): number => {
      const r = (laps_ as CopyLaps).lap("receive", laps, packets);
      return r.busyNs / r.packets;
    };
    const sizeNs = measureSteps(bySize, sizes, rounds, (own, bytes) =>
      perPacket(own.get(bytes), lapPackets),
    );
    const batchNs = measureSteps(bySize, batches, rounds, (own, packets) =>
      perPacket(own.get(batchBytes), packets),
    );
    const cases: Measured[] = [];
    const recommended: Record<string, Parameters> = {};
    let least = Number.POSITIVE_INFINITY;
    engines.forEach((engine, e) => {
      if (engine === "cpu") return;
      const bytesMin = breakEven(sizes, sizeNs[e] ?? [], sizeNs[0] ?? []);
      const batchMin = breakEven(batches, batchNs[e] ?? [], batchNs[0] ?? []);
      if (bytesMin === null || batchMin === null) return;
      cases.push(
        measured("break-even", { engine, key: "bytesMin" }, "bytes", [bytesMin]),
        measured("break-even", { engine, key: "batchMin" }, "packets", [batchMin]),
      );
      const left = sizeNs[e]?.at(-1) ?? Number.POSITIVE_INFINITY;
      if (engine === "model" || left >= least) return;
      least = left;
      recommended.copy = { engine, bytesMin, batchMin };
    });
    if (!recommended.copy) recommended.copy = { engine: "cpu" };
    return { cases, recommended };
  } finally {
    for (const one of open) one.close();
  }
}
