import { setTimeout as sleep } from "node:timers/promises";
import { withHugePages } from "../../bench/huge_pages.js";

const triesMax = 60;
const pauseMs = 500;

/**
 * With pages of 2 MiB reserved. Dataplanes of tests beside may take those that were meant for it: it says
 * that they do not suffice (false), and is tried again; the last time it must do with what there is.
 */
export async function withPages(
  bytes: number,
  run: (isLast: boolean) => Promise<boolean>,
): Promise<void> {
  for (let tries = 1; !(await withHugePages(bytes, () => run(tries === triesMax))); tries++)
    await sleep(pauseMs);
}
