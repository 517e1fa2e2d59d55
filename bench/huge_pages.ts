// 2 MiB pages for as long as a benchmark runs, when it may: tables of more than a few MB cost twice
// as much on 4 KiB pages. Whatever was reserved before is restored.
import { readFileSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";

const file = "/proc/sys/vm/nr_hugepages";
const pageBytes = 2 << 20;
/** Never take more than this of the memory that is free. */
const shareMax = 0.7;

export async function withHugePages<T>(bytes: number, run: () => Promise<T>): Promise<T> {
  let before: number;
  try {
    before = Number(readFileSync(file, "utf8"));
    const wanted = before + Math.ceil(Math.min(bytes, freemem() * shareMax) / pageBytes);
    writeFileSync(file, String(wanted));
  } catch {
    return run(); // not root: the report's hugePagesUsed says so
  }
  try {
    return await run();
  } finally {
    writeFileSync(file, String(before));
  }
}
