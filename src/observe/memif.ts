// What memif ports and the copy engine say of themselves, for people.
import type { CopyInfo, DriverStats } from "../runtime/dataplane.js";
import { table } from "./table.js";

/** As native/driver/memif tells it. */
interface MemifStats {
  readonly peer: string;
  readonly connects: number;
  readonly disconnects: number;
  readonly violations: number;
  readonly refused: number;
  readonly last_reason: string;
  readonly frames_held: number;
  readonly quota: number;
}

const columns = [
  "MEMIF",
  "PEER",
  "CONNECTS",
  "DISCONNECTS",
  "VIOLATIONS",
  "REFUSED",
  "FRAMES HELD",
  "LAST REASON",
];

const isMemif = (stats: DriverStats): boolean => "connects" in stats && "violations" in stats;

/** Empty without memif ports. */
export function renderMemif(stats: Readonly<Record<string, DriverStats>>): string {
  const ports = Object.entries(stats).filter(([, s]) => isMemif(s));
  if (ports.length === 0) return "";
  const rows = ports.map(([name, raw]) => {
    const s = raw as unknown as MemifStats;
    const counts = [s.connects, s.disconnects, s.violations, s.refused];
    const held = `${s.frames_held} of ${s.quota}`;
    return [name, s.peer || "none", ...counts.map(String), held, s.last_reason];
  });
  return table(columns, rows);
}

/** Empty when nothing was copied and nothing is to be explained. */
export function renderCopy({ engine, why, counters }: CopyInfo): string {
  const rows = Object.entries(counters)
    .filter(([, count]) => count !== 0 && count !== false)
    .map(([name, count]) => [name, String(count)]);
  if (why === "" && rows.length === 0) return "";
  const head = `copies by ${engine}${why === "" ? "" : ` (${why})`}`;
  return rows.length === 0 ? head : `${head}\n${table([], rows)}`;
}
