// 2 MiB pages for as long as a benchmark runs, when it may: tables of more than a few MB cost twice
// as much on 4 KiB pages. What was added is taken away again; others may reserve theirs meanwhile.
import { readFileSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";

const file = "/proc/sys/vm/nr_hugepages";
const pageBytes = 2 << 20;
/** Never take more than this of the memory that is free. */
const shareMax = 0.7;

const reserved = (): number => Number(readFileSync(file, "utf8"));

/** How many there are more now: the kernel gives what it finds. */
function reserve(pages: number): number {
  const before = reserved();
  writeFileSync(file, String(Math.max(0, before + pages)));
  return reserved() - before;
}

export async function withHugePages<T>(bytes: number, run: () => Promise<T>): Promise<T> {
  let added: number;
  try {
    added = reserve(Math.ceil(Math.min(bytes, freemem() * shareMax) / pageBytes));
  } catch {
    return run(); // not root: the report's hugePagesUsed says so
  }
  try {
    return await run();
  } finally {
    reserve(-added);
  }
}
