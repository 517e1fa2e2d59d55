// The corridor with each variant of the kernels that this CPU has, for bench path.
import { join } from "node:path";
import type { LapSetting } from "./laps.js";
import { Asked } from "./programs.js";
import { ratioOf } from "./ratio.js";
import type { Measured } from "./report.js";
import type { Case } from "./runner.js";

const kernels = ["scalar", "avx2", "avx512"] as const;
const subject = "forced kernel";

export interface KernelLaps {
  readonly cases: readonly Case[];
  /** Every variant against scalar. */
  gains(measured: readonly Measured[]): Measured[];
  close(): Promise<void>;
}

/** One process for each variant. Those that this CPU lacks are left out. */
export async function openKernelLaps(setting: LapSetting): Promise<KernelLaps> {
  const open: { kernel: string; program: Asked }[] = [];
  const close = async () => {
    await Promise.all(open.map(({ program }) => program.close()));
  };
  try {
    for (const kernel of kernels) {
      const program = new Asked(process.execPath, [
        join(import.meta.dirname, "lap_child.js"),
        kernel,
        String(setting.family),
        String(setting.flows),
      ]);
      open.push({ kernel, program });
      if ((await program.line()) === kernel) continue;
      open.pop();
      await program.close();
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  const { flows, services, family } = setting;
  const parametersOf = (kernel: string) => ({ flows, services, family, workers: 1, kernel });
  return {
    cases: open.map(({ kernel, program }) => ({
      subject,
      parameters: parametersOf(kernel),
      unit: "ns/packet",
      sample: async () => Number(await program.ask("corridor")),
    })),
    gains(measured) {
      const own = measured.filter((c) => c.subject === subject);
      const scalar = own.find((c) => c.parameters.kernel === "scalar");
      return own
        .filter((c) => scalar && c !== scalar)
        .map((c) => ratioOf("kernel / scalar", c.parameters, c, scalar as Measured));
    },
    close,
  };
}
