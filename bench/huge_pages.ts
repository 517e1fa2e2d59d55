// 2 MiB pages for as long as a benchmark runs, when it may: tables of more than a few MB cost twice
// as much on 4 KiB pages. What was added is taken away again; others may reserve theirs meanwhile.
import { readFileSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";
import { atEnd } from "./at_end.js";

const kernels = "/proc/sys/vm/nr_hugepages";
const pageBytes = 2 << 20;
/** Never take more than this of the memory that is free. */
const shareMax = 0.7;

const reserved = (file: string): number => Number(readFileSync(file, "utf8"));

/** How many there are more now: the kernel gives what it finds. */
function reserve(file: string, pages: number): number {
  const before = reserved(file);
  writeFileSync(file, String(Math.max(0, before + pages)));
  return reserved(file) - before;
}

export async function withHugePages<T>(
  bytes: number,
  run: () => Promise<T>,
  file = kernels,
): Promise<T> {
  let added: number;
  try {
    added = reserve(file, Math.ceil(Math.min(bytes, freemem() * shareMax) / pageBytes));
  } catch {
    return run(); // not root: the report's hugePagesUsed says so
  }
  const giveBack = () => reserve(file, -added);
  const forget = atEnd(giveBack);
  try {
    return await run();
  } finally {
    forget();
    giveBack();
  }
}
