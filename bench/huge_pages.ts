// 2 MiB pages for as long as a benchmark runs, when it may: tables of more than a few MB cost twice
// as much on 4 KiB pages. What was added is taken away again; others may reserve theirs meanwhile.
import { execFileSync } from "node:child_process";
import { freemem } from "node:os";
import { atEnd } from "./at_end.js";

const kernels = "/proc/sys/vm/nr_hugepages";
const pageBytes = 2 << 20;
/** Never take more than this of the memory that is free. */
const shareMax = 0.7;

// Locked: others may do the same, and it takes the kernel a while.
const script = `set -e
  before=$(cat "$1"); wanted=$((before + $2))
  echo $((wanted > 0 ? wanted : 0)) >"$1"
  echo $(($(cat "$1") - before))`;

/** How many there are more now: the kernel gives what it finds. */
const reserve = (file: string, pages: number): number =>
  Number(
    execFileSync("flock", [file, "sh", "-c", script, "sh", file, String(pages)], {
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );

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
