import { setTimeout as sleep } from "node:timers/promises";

/** Far longer than anything here takes, however slow the machine. */
export const waitMs = 120_000;

/** Waits for something; what does not come is told by what was awaited. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + waitMs; !(await holds()); await sleep(20))
    if (Date.now() > end) throw new Error(`${what}: not within ${waitMs / 1000} s`);
}
