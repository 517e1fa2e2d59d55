// A process with loop ports and many connections is killed, another takes them over (restart_child.ts).
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { atEnd } from "./at_end.js";
import type { Filled, Taken } from "./restart_child.js";
import { ended, type Killed, linesOf, pagesOf } from "./restart_kill.js";

export interface KilledInMemory extends Killed {
  /** The part of the gap that is the table's. */
  readonly restoreMs: number;
}

export async function killInMemory(flows: number): Promise<KilledInMemory> {
  const directory = mkdtempSync(join("/dev/shm", "nodeplane-bench-"));
  const children: ChildProcess[] = [];
  const child = (what: "fill" | "take"): ChildProcess => {
    const args = [
      join(import.meta.dirname, "restart_child.js"),
      what,
      String(flows),
      join(directory, "f.flows"),
    ];
    const one = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(one);
    return one;
  };
  const tidy = (): void => {
    for (const c of children) c.kill("SIGKILL");
    // A mount of a killed process stays.
    spawnSync("umount", ["--quiet", join(directory, "huge")], { stdio: "ignore" });
    rmSync(directory, { recursive: true, force: true });
  };
  const forget = atEnd(tidy);
  try {
    const first = child("fill");
    const filled = JSON.parse(await linesOf(first)()) as Filled;
    if (filled.flows !== flows)
      throw new Error(`${filled.flows} connections of ${flows} were made`);
    const killed = Date.now();
    first.kill("SIGKILL");
    await ended(first);
    const second = child("take");
    const taken = JSON.parse(await linesOf(second)()) as Taken;
    await ended(second);
    const lost = Math.max(taken.lost, flows - taken.recovered);
    return {
      gapMs: taken.firstAt - killed,
      restoreMs: taken.restoreMs,
      lost,
      memory: pagesOf(taken.memory),
    };
  } finally {
    tidy();
    forget();
  }
}
