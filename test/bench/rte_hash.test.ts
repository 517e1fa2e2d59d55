// DPDK's rte_hash as a peer: laps where it is installed, a reason where it is not. Speed is not tested.
import t from "tap";
import { Asked, buildProgram, hasLibrary } from "../../bench/programs.js";
import {
  betterBulk,
  bulks,
  openRteHash,
  type RteHash,
  rteHashBytes,
  rteHashKeys,
} from "../../bench/rte_hash.js";
import { interleave } from "../../bench/runner.js";
import { withPages } from "../kit/pages.js";

const entries = [4096, 1024];
const isRoot = process.getuid?.() === 0;
const isThere = hasLibrary("libdpdk");

const withRteHash = (use: (opened: RteHash) => Promise<void>): Promise<void> =>
  withPages(rteHashBytes(entries), async (isLast) => {
    const opened = await openRteHash(entries);
    const suffices = opened.cases.length > 0 || !isThere || !isRoot || isLast;
    await (suffices ? use(opened) : opened.close());
    return suffices;
  });

t.test("laps over two tables, or why there are none", { timeout: 300_000 }, async (t) => {
  await withRteHash(async ({ cases, skipped, close }) => {
    if (!isThere) t.match(skipped, [{ skipped: /libdpdk-dev/ }, {}]);
    for (const { skipped: reason } of skipped) t.comment(reason);
    // Its pages of 2 MiB take root.
    if (isThere && isRoot) t.equal(cases.length, entries.length * bulks.length);
    t.equal(skipped.length, cases.length > 0 ? 0 : entries.length);
    const found = await interleave(cases, { rounds: 3, warmup: 1 });
    await close();
    for (const c of found) {
      t.equal(c.parameters.keys, rteHashKeys(Number(c.parameters.entries)));
      t.ok(c.samples.every((ns) => ns > 1));
    }
    for (const n of cases.length > 0 ? entries : []) {
      const better = betterBulk(found, n);
      const own = found.filter((c) => c.parameters.entries === n);
      t.equal(better?.median, Math.min(...own.map((c) => c.median)));
    }
  });
});

t.test("a program that cannot be built, and one that ends, say why", async (t) => {
  t.throws(() => buildProgram("no_such_program"), /no_such_program cannot be built: .*no_such/);
  const program = new Asked("sh", ["-c", "read line; echo $line; echo 'no more' >&2; exit 1"]);
  t.equal(await program.ask("one"), "one");
  await t.rejects(program.ask("two"), /^no more$/);
  await program.close();
  const missing = new Asked("/no/such/program", []);
  await t.rejects(missing.line(), /no\/such\/program/);
  await missing.close();
});
