// bench path: what the corridor costs in memory, without I/O. Established TCP flows, 64-byte packets
// of flows drawn at random and laid into 8,192 frames between timed laps; every record field, counter
// and state kept, the keyed hash on. Beside it the same lap without a corridor (`empty`) and one
// random line read per packet over as many bytes as the flow table has (`floor`).
import { Dataplane } from "../src/runtime/dataplane.js";
import { type NativeLap, nativeModule } from "../src/runtime/native.js";
import { withHugePages } from "./huge_pages.js";
import { type BenchFamily, benchModel, packServices } from "./model.js";
import type { Question } from "./questions.js";
import { machineFacts, type Report } from "./report.js";
import { type Case, interleave } from "./runner.js";

interface Setting {
  readonly flows: number;
  readonly services: number;
  readonly family: BenchFamily;
}

const headline: readonly Setting[] = [1_000, 10_000, 100_000, 1_000_000].map((flows) => ({
  flows,
  services: 1,
  family: 4,
}));
const beside: readonly Setting[] = [
  { flows: 100_000, services: 5_000, family: 4 },
  { flows: 1_000, services: 1, family: 6 },
  { flows: 100_000, services: 1, family: 6 },
];
const full: readonly Setting[] = [
  { flows: 1_000, services: 5_000, family: 4 },
  { flows: 1_000_000, services: 5_000, family: 4 },
  { flows: 1_000_000, services: 1, family: 6 },
];

// Upper bounds: a flow with its share of the index and the floor's equal bytes, spare capacity
// included; arena and smaller tables.
const flowBytes = { 4: 600, 6: 1000 } as const;
const setupBytes = 96 << 20;

/** Runs `run` with a lap for each setting, and closes everything behind it. */
async function withLaps<T>(
  settings: readonly Setting[],
  run: (laps: readonly { setting: Setting; lap: NativeLap; dataplane: Dataplane }[]) => Promise<T>,
): Promise<T> {
  const open: { setting: Setting; lap: NativeLap; dataplane: Dataplane }[] = [];
  try {
    for (const [i, setting] of settings.entries()) {
      const dataplane = Dataplane.open(await benchModel({ ...setting, name: `bench-path-${i}` }));
      try {
        const lap = new (nativeModule().PathLap)(dataplane.native, {
          family: setting.family,
          flows: setting.flows,
          services: packServices(setting.family, setting.services),
        });
        open.push({ setting, lap, dataplane });
      } catch (cause) {
        dataplane.close();
        throw cause;
      }
    }
    return await run(open);
  } finally {
    for (const { lap, dataplane } of open) {
      lap.close();
      dataplane.close();
    }
  }
}

export const path: Question = {
  name: "path",
  about: "ns per packet of the whole corridor in memory, for 1 k to 1 M established flows",
  async run({ isFull, progress }): Promise<Report> {
    const settings = [...headline, ...beside, ...(isFull ? full : [])];
    const bytes = settings.reduce((sum, s) => sum + setupBytes + s.flows * flowBytes[s.family], 0);
    return withHugePages(bytes, () =>
      withLaps(settings, async (laps) => {
        const cases: Case[] = laps.flatMap(({ setting, lap, dataplane }) =>
          (["corridor", "empty", "floor"] as const).map((subject) => ({
            subject,
            parameters: {
              flows: setting.flows,
              services: setting.services,
              family: setting.family,
              workers: 1,
              bytes: setting.family === 4 ? 64 : 74,
              kernel: dataplane.info().kernel,
            },
            unit: "ns/packet",
            sample: () => lap.lap(subject),
          })),
        );
        const measured = await interleave(cases, {
          rounds: isFull ? 61 : 31,
          warmup: 3,
          progress,
        });
        const info = laps[0]?.dataplane.info();
        return {
          question: "path",
          machine: machineFacts({
            hugePagesUsed: info?.hugePages ?? false,
            framesPerLap: 8192,
          }),
          cases: measured,
        };
      }),
    );
  },
};
