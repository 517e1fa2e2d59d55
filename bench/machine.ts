// What must be known of a machine to judge its figures.
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { nativeModule } from "../src/runtime/native.js";

export type Facts = Readonly<Record<string, number | string | boolean>>;

/** What the pattern's group finds in a file; empty when there is none. */
export function field(file: string, pattern: RegExp): string {
  try {
    return pattern.exec(readFileSync(file, "utf8"))?.[1]?.trim() ?? "";
  } catch {
    return "";
  }
}

interface Ticks {
  /** Of all processors together since boot, in ticks. */
  readonly all: number;
  readonly busy: number;
  /** What the host took from this machine. */
  readonly stolen: number;
}

function ticks(): Ticks {
  const fields = field("/proc/stat", /^cpu +(.*)/m)
    .split(" ")
    .map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, stolen = 0] =
    fields;
  const busy = user + nice + system + irq + softirq;
  return { all: busy + idle + wait + stolen, busy, stolen };
}

/** USER_HZ, which is 100 on every Linux that runs Node. */
export const tickMs = 10;

/** Time that all processors together were busy since boot, in ticks. */
export const busyTicks = (): number => ticks().busy;

const atStart = ticks();

/** Percent of the machine that the host took since this program started, to a tenth. */
function stealPercent(): number {
  const now = ticks();
  const share = (now.stolen - atStart.stolen) / Math.max(1, now.all - atStart.all);
  return Math.round(share * 1000) / 10;
}

/** `always`, `madvise` or `never`: what the kernel does about 2 MiB pages by itself. */
const transparentPages = (): string =>
  field("/sys/kernel/mm/transparent_hugepage/enabled", /\[(\w+)\]/) || "unknown";

const roundTripTries = 3;

/** From core to core and back, ns: the least of a few, since others may be at work there. */
function coreRoundTrip(): number | "unknown" {
  const tries = Array.from({ length: roundTripTries }, () => nativeModule().coreRoundTrip(0, 1));
  const told = tries.filter((ns) => ns > 0);
  return told.length > 0 ? Math.round(Math.min(...told)) : "unknown";
}

/** `extra` is the benchmark's own. */
export function machineFacts(extra: Facts = {}): Facts {
  const cores = cpus().length;
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores,
    ...(cores > 1 ? { coreRoundTripNs: coreRoundTrip() } : {}),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    governor: field("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", /(.*)/) || "unknown",
    hugePages2M: Number(field("/proc/sys/vm/nr_hugepages", /(\d+)/) || 0),
    transparentPages: transparentPages(),
    stealPercent: stealPercent(),
    ...extra,
  };
}
