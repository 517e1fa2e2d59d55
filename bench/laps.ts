// Dataplanes with flows opened in them, for the questions about the corridor in memory.
import { Dataplane } from "../src/runtime/dataplane.js";
import { type LapWhat, type NativeLap, nativeModule } from "../src/runtime/native.js";
import { withHugePages } from "./huge_pages.js";
import { type BenchFamily, benchModel, packServices } from "./model.js";
import { withPin } from "./pin.js";
import type { Measured, Parameters } from "./report.js";
import type { Case } from "./runner.js";

export interface LapSetting {
  readonly flows: number;
  readonly services: number;
  readonly family: BenchFamily;
  readonly workers?: number;
  readonly masquerade?: boolean;
  /** New flows come and go. */
  readonly room?: boolean;
  /** Answers will be asked for. */
  readonly backward?: boolean;
}

export interface OpenLap {
  readonly setting: LapSetting;
  readonly lap: NativeLap;
  readonly dataplane: Dataplane;
}

/** Upper bounds: a flow with its share of the index and the floor's equal bytes, spare included. */
const flowBytes = { 4: 600, 6: 1000 } as const;
const setupBytes = 96 << 20;

const bytesOf = (s: LapSetting): number =>
  setupBytes * (s.workers ?? 1) + s.flows * flowBytes[s.family];

async function openLap(setting: LapSetting, name: string): Promise<OpenLap> {
  const dataplane = Dataplane.open(await benchModel({ ...setting, name }));
  try {
    const lap = new (nativeModule().PathLap)(dataplane.native, {
      family: setting.family,
      flows: setting.flows,
      services: packServices(setting.family, setting.services),
      backward: setting.backward ?? false,
    });
    return { setting, lap, dataplane };
  } catch (cause) {
    dataplane.close();
    throw cause;
  }
}

/**
 * Runs `run` with a lap for each setting, on 2 MiB pages (and `besides` bytes of them for others), and
 * closes everything behind it. All on one core, but for threads that have theirs.
 */
export function withLaps<S extends LapSetting, T>(
  name: string,
  settings: readonly S[],
  run: (laps: readonly (OpenLap & { setting: S })[]) => Promise<T>,
  besides = 0,
): Promise<T> {
  const bytes = settings.reduce((sum, s) => sum + bytesOf(s), besides);
  return withHugePages(bytes, () =>
    withPin(async () => {
      const open: (OpenLap & { setting: S })[] = [];
      try {
        for (const [i, setting] of settings.entries())
          open.push({ ...(await openLap(setting, `${name}-${i}`)), setting });
        return await run(open);
      } finally {
        for (const { lap, dataplane } of open) {
          lap.close();
          dataplane.close();
        }
      }
    }),
  );
}

export const lapParameters = ({ setting, dataplane }: OpenLap): Parameters => ({
  flows: setting.flows,
  services: setting.services,
  family: setting.family,
  workers: setting.workers ?? 1,
  bytes: setting.family === 4 ? 64 : 74,
  ...(setting.masquerade ? { masquerade: 1 } : {}),
  kernel: dataplane.info().kernel,
});

/** Connections in the table now. */
export const resident = ({ setting, dataplane }: OpenLap): number => {
  const { flows4, flows6 } = dataplane.info();
  return setting.family === 4 ? flows4 : flows6;
};

/**
 * Laps before each timed one: what ran before has left its own lines in the caches. So a sample is of a
 * node at work on one table, not of one that begins. Each lap draws its packets anew.
 */
const warmLaps = 32;
const isWarmed = (what: LapWhat): boolean =>
  what !== "new" && what !== "expire" && what !== "reset";

/** A warmed lap, if laps of this kind change nothing for the next one. */
export function warmedLap(lap: NativeLap, what: LapWhat): number {
  if (isWarmed(what)) for (let i = 0; i < warmLaps; i++) lap.lap(what);
  return lap.lap(what);
}

/** A case whose samples are laps. */
export function lapCase(open: OpenLap, subject: string, what: LapWhat, unit: string): Case {
  const sample = () => warmedLap(open.lap, what);
  return { subject, parameters: lapParameters(open), unit, sample };
}

/** The one case with this subject and these parameters among others, if it was measured. */
export const findCase = (
  cases: readonly Measured[],
  subject: string,
  parameters: Parameters,
): Measured | undefined =>
  cases.find(
    (c) =>
      c.subject === subject &&
      Object.entries(parameters).every(([key, value]) => c.parameters[key] === value),
  );
