// 2 MiB pages for as long as a benchmark runs, when it may: tables of more than a few MB cost twice
// as much on 4 KiB pages. Whatever was reserved before is restored.
import { readFileSync, writeFileSync } from "node:fs";

const file = "/proc/sys/vm/nr_hugepages";
const pageBytes = 2 << 20;
/** Never take more than this of the machine, bytes. */
const bytesMax = 6 * 2 ** 30;

export async function withHugePages<T>(bytes: number, run: () => Promise<T>): Promise<T> {
  let before: number;
  try {
    before = Number(readFileSync(file, "utf8"));
    const wanted = before + Math.ceil(Math.min(bytes, bytesMax) / pageBytes);
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
