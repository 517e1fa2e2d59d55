// JavaScript's thread, and what it starts, on one core for as long as a lap-by-lap benchmark runs:
// otherwise the scheduler moves it between two laps, and its caches stay behind.
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { field } from "./machine.js";

/** The cores that the thread may run on, as taskset writes them: `0-1`. */
export const pinnedTo = (): string => field("/proc/self/status", /^Cpus_allowed_list:\s*(.*)/m);

function pin(cores: string): boolean {
  try {
    execFileSync("taskset", ["-pc", cores, String(process.pid)], { stdio: "ignore" });
    return true;
  } catch {
    return false; // the report's `pinnedTo` says so
  }
}

/** On the machine's last core: interrupts mostly come to the first. */
export async function withPin<T>(run: () => Promise<T>): Promise<T> {
  const before = pinnedTo();
  if (availableParallelism() < 2 || !pin(String(availableParallelism() - 1))) return run();
  try {
    return await run();
  } finally {
    pin(before);
  }
}
