// bench kernels: what the SIMD variants of the kernels gain over their scalar meaning, in nanoseconds
// for each item: a key hashed, a bucket's tags compared, an index line looked at, a sum over so many bytes. Items lie in the
// first-level cache: this is about instructions, not memory.
import { messageOf } from "../src/kit/error.js";
import { runGoogleBenchmark } from "./google_benchmark.js";
import { machineFacts } from "./machine.js";
import type { Question } from "./questions.js";
import { ratioOf } from "./ratio.js";
import type { Measured, Parameters, Report, Skipped } from "./report.js";

const filter = "^(sip13|crc32c|checksum|tag probe|index guess)";

const name = ([subject = "", variant = "", bytes]: readonly string[]) => ({
  subject,
  parameters: { variant, ...(bytes ? { bytes: Number(bytes) } : {}) },
});

const isSame = (a: Parameters, b: Parameters): boolean => a.bytes === b.bytes;

/** Scalar over each variant: how many times faster. */
function gains(cases: readonly Measured[]): Measured[] {
  return cases.flatMap((variant) => {
    if (variant.parameters.variant === "scalar") return [];
    const scalar = cases.find(
      (c) =>
        c.subject === variant.subject &&
        c.parameters.variant === "scalar" &&
        isSame(c.parameters, variant.parameters),
    );
    if (!scalar) return [];
    return [ratioOf(`${variant.subject}, gain`, variant.parameters, scalar, variant)];
  });
}

export const kernels: Question = {
  name: "kernels",
  about: "ns per item of hashes, checksums and tag probes: scalar, SSE, AVX2, AVX-512",
  async run({ isFull, rounds, progress }): Promise<Report> {
    const repetitions = rounds ?? (isFull ? 31 : 15);
    const secondsMin = repetitions === 1 ? 0.001 : 0.01;
    let cases: (Measured | Skipped)[];
    try {
      const found = await runGoogleBenchmark({
        ...{ filter, repetitions, secondsMin, name },
        unit: "ns/item",
      });
      cases = [...found, ...gains(found)];
    } catch (cause) {
      cases = [{ subject: "kernels", skipped: messageOf(cause) }];
    }
    progress(1, 1);
    return { question: "kernels", machine: machineFacts(), cases };
  },
};
