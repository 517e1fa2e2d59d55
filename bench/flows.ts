// bench flows: the flow table alone, without packets: finds, keeps, removals and expiries in laps of
// 8,192 newly drawn items (native/flow_table_bench.cc), with one random line read for each as the floor,
// and DPDK's rte_hash, which knows one key for each entry and counts nothing, before and after.
import { messageOf } from "../src/kit/error.js";
import { runGoogleBenchmark } from "./google_benchmark.js";
import { withHugePages } from "./huge_pages.js";
import { machineFacts } from "./machine.js";
import type { Question, QuestionOptions } from "./questions.js";
import { type Measured, measured, type Parameters, type Report, type Skipped } from "./report.js";
import { openRteHash, rteHashBytes } from "./rte_hash.js";
import { interleave } from "./runner.js";

const quick = {
  IPv4: [1_000, 10_000, 100_000, 1_000_000],
  IPv6: [1_000, 100_000, 1_000_000],
} as const;
const full = { ...quick, IPv4: [...quick.IPv4, 4_000_000, 16_000_000] } as const;
const small = { IPv4: [1_000], IPv6: [1_000] } as const;
const entriesOf = (sizes: Sizes): number[] => (sizes === small ? [2 ** 12] : [2 ** 20, 2 ** 22]);

// Upper bounds: a flow with its share of the index, spare capacity included. The floor reads memory of
// its own, as large as the largest table.
const flowBytes = { IPv4: 300, IPv6: 500 } as const;
const setupBytes = 256 << 20;

const unit = "ns/item";

const name = ([subject = "", family = "", flows]: readonly string[]) => ({
  subject,
  parameters: { family: Number(family.at(-1)), flows: Number(flows) },
});

type Sizes = Readonly<Record<"IPv4" | "IPv6", readonly number[]>>;

/** Up to here there is a second table, for the other hash. */
const otherHashMax = 1_000_000;

function bytesOf(sizes: Sizes): number {
  const tables = (["IPv4", "IPv6"] as const).flatMap((family) =>
    sizes[family].map((flows) => flows * flowBytes[family] * (flows <= otherHashMax ? 2 : 1)),
  );
  const all = tables.reduce((sum, bytes) => sum + bytes, setupBytes);
  return all + Math.max(...tables) + rteHashBytes(entriesOf(sizes));
}

/** The short form, of one round, only shows that everything runs. */
const sizesOf = ({ isFull, rounds }: QuestionOptions): Sizes =>
  rounds === 1 ? small : isFull ? full : quick;

const filterOf = (sizes: Sizes): string =>
  `/(IPv4/(${sizes.IPv4.join("|")})|IPv6/(${sizes.IPv6.join("|")}))/`;

const key = (parameters: Parameters): string => JSON.stringify(parameters);

/** The same cases measured twice: their samples together. */
function joined(before: readonly Measured[], after: readonly Measured[]): Measured[] {
  return before.map((c) => {
    const again = after.find((d) => key(d.parameters) === key(c.parameters));
    return measured(c.subject, c.parameters, c.unit, [...c.samples, ...(again?.samples ?? [])]);
  });
}

async function measureAll(options: QuestionOptions): Promise<Report> {
  const { isFull, rounds, progress } = options;
  const repetitions = rounds ?? (isFull ? 31 : 15);
  const sizes = sizesOf(options);
  const entries = entriesOf(sizes);
  const secondsMin = rounds === 1 ? 0.0001 : 0.005;
  const rteHash = await openRteHash(entries);
  const half = { rounds: Math.ceil(repetitions / 2), warmup: 2 };
  const skipped: Skipped[] = [...rteHash.skipped];
  let cases: readonly Measured[] = [];
  try {
    const before = await interleave(rteHash.cases, half);
    progress(1, 4);
    try {
      const filter = filterOf(sizes);
      cases = await runGoogleBenchmark({ filter, repetitions, secondsMin, unit, name });
    } catch (cause) {
      skipped.push({ subject: "flow table", skipped: messageOf(cause) });
    }
    progress(3, 4);
    const after = await interleave(rteHash.cases, half);
    return {
      question: "flows",
      machine: machineFacts({ itemsPerLap: 8192 }),
      cases: [...cases, ...joined(before, after), ...skipped],
      notes: [
        "find_hit counts packets and bytes in the record; rte_hash (bulk lookup, CRC hash, one key for each entry) only finds",
      ],
    };
  } finally {
    progress(4, 4);
    await rteHash.close();
  }
}

export const flows: Question = {
  name: "flows",
  about: "ns of the flow table alone: find, keep, remove, expire; beside it a floor and rte_hash",
  run: (options) => withHugePages(bytesOf(sizesOf(options)), () => measureAll(options)),
};
