// Google Benchmark's program of ours (native/*_bench.cc) and what its JSON says. Its benchmarks take
// their repetitions in a random order, so that a machine that changes its speed changes it for all.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { buildProgram, reasonOf } from "./programs.js";
import { type Measured, measured, type Parameters } from "./report.js";

const program = "nodeplane_benchmarks";
const runMs = 3_600_000;
const outputBytesMax = 256 << 20;

/** Of its JSON what we read. */
interface Run {
  readonly run_name: string;
  readonly run_type: "iteration" | "aggregate";
  readonly repetition_index: number;
  /** Its place among all benchmarks; they ran in another order. */
  readonly family_index: number;
  readonly per_family_instance_index: number;
  readonly items_per_second?: number;
  readonly error_occurred?: boolean;
  readonly error_message?: string;
}

export interface Wanted {
  /** A regular expression of names (POSIX, extended). */
  readonly filter: string;
  readonly repetitions: number;
  /** Of each repetition. */
  readonly secondsMin: number;
  readonly unit: string;
  /** What a name's parts between slashes mean. */
  name(parts: readonly string[]): { readonly subject: string; readonly parameters: Parameters };
}

/** Nanoseconds per item; one figure for each name, a sample for each repetition, in their order. */
export function readRuns(json: string, wanted: Pick<Wanted, "unit" | "name">): Measured[] {
  const { benchmarks } = JSON.parse(json) as { benchmarks: readonly Run[] };
  const inOrder = [...benchmarks].sort(
    (a, b) =>
      a.family_index - b.family_index || a.per_family_instance_index - b.per_family_instance_index,
  );
  const samples = new Map<string, number[]>();
  for (const run of inOrder) {
    if (run.error_occurred) throw new Error(`${run.run_name}: ${run.error_message}`);
    if (run.run_type !== "iteration" || !run.items_per_second) continue;
    const own = samples.get(run.run_name) ?? [];
    own[run.repetition_index] = 1e9 / run.items_per_second;
    samples.set(run.run_name, own);
  }
  return [...samples].map(([name, own]) => {
    const { subject, parameters } = wanted.name(name.split("/"));
    return measured(subject, parameters, wanted.unit, own);
  });
}

/** An Error that says why when it is not installed or finds something wrong. */
export async function runGoogleBenchmark(wanted: Wanted): Promise<Measured[]> {
  const file = buildProgram(program);
  const args = [
    ...["--benchmark_format=json", "--benchmark_enable_random_interleaving=true"],
    `--benchmark_filter=${wanted.filter}`,
    `--benchmark_repetitions=${wanted.repetitions}`,
    `--benchmark_min_time=${wanted.secondsMin}`,
  ];
  const options = { maxBuffer: outputBytesMax, timeout: runMs };
  try {
    const { stdout } = await promisify(execFile)(file, args, options);
    return readRuns(stdout, wanted);
  } catch (cause) {
    throw new Error(`${program}: ${reasonOf(cause)}`);
  }
}
