// DPDK's rte_hash beside the corridor and the flow table: 16-byte keys, CRC hash, 2 MiB pages, looked
// up in bulk (native/rte_hash_peer.cc). Laps of 8,192 keys drawn anew, in turn with all other cases.
import { messageOf } from "../src/kit/error.js";
import { Asked, buildProgram, hasLibrary } from "./programs.js";
import type { Measured, Parameters, Skipped } from "./report.js";
import type { Case } from "./runner.js";

const subject = "rte_hash";
/** The larger is the most that one call takes. */
export const bulks = [32, 64] as const;
/** Of a table's entries so many hold a key. */
const load = { of: 4, are: 3 } as const;

/** Keys of a table of so many entries. */
export const rteHashKeys = (entries: number): number => (entries / load.of) * load.are;

/** 2 MiB pages that tables of so many entries take: 32 bytes a key, 8 an entry, and DPDK's own. */
export const rteHashBytes = (entries: readonly number[]): number =>
  entries.reduce((sum, n) => sum + n * 48, 64 << 20);

export interface RteHash {
  /** A case for each table and bulk, none when it is skipped. */
  readonly cases: readonly Case[];
  readonly skipped: readonly Skipped[];
  close(): Promise<void>;
}

async function open(entries: readonly number[]): Promise<Asked> {
  if (!hasLibrary("libdpdk"))
    throw new Error("libdpdk-dev is not installed (scripts/setup.sh --bench)");
  const program = new Asked(
    buildProgram("rte_hash_peer"),
    entries.map((n) => String(rteHashKeys(n))),
  );
  try {
    while ((await program.line()) !== "ready");
    return program;
  } catch (cause) {
    await program.close();
    throw cause;
  }
}

/** One table for each number of entries, a power of 2. Close it when the cases are measured. */
export async function openRteHash(entries: readonly number[]): Promise<RteHash> {
  let program: Asked;
  try {
    program = await open(entries);
  } catch (cause) {
    const skipped = entries.map((n) => ({
      subject,
      parameters: { entries: n },
      skipped: messageOf(cause),
    }));
    return { cases: [], skipped, close: async () => {} };
  }
  const cases = entries.flatMap((n, table) =>
    bulks.map((bulk) => ({
      subject,
      parameters: parametersOf(n, bulk),
      unit: "ns/lookup",
      sample: async () => Number(await program.ask(`${table} ${bulk}`)),
    })),
  );
  return { cases, skipped: [], close: () => program.close() };
}

const parametersOf = (entries: number, bulk: number): Parameters => ({
  entries,
  keys: rteHashKeys(entries),
  bulk,
});

/** Of the bulks the faster one; undefined where it was skipped. */
export function betterBulk(cases: readonly Measured[], entries: number): Measured | undefined {
  return cases
    .filter((c) => c.subject === subject && c.parameters.entries === entries)
    .sort((a, b) => a.median - b.median)[0];
}
