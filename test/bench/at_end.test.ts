// What a benchmark takes of the machine, it gives back: also when it fails, and when it is interrupted.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { withHugePages } from "../../bench/huge_pages.js";

const bytes = 10 << 20;
const pages = 5;

/** As the kernel's file of reserved pages: with 7 of others. */
function pagesFile(t: Test): string {
  const folder = mkdtempSync("/tmp/nodeplane-pages-");
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "nr_hugepages");
  writeFileSync(file, "7\n");
  return file;
}
const reserved = (file: string): number => Number(readFileSync(file, "utf8"));

t.test("2 MiB pages are reserved beside those of others, and given back", async (t) => {
  const file = pagesFile(t);
  const run = async () => reserved(file);
  t.equal(await withHugePages(bytes, run, file), 7 + pages);
  t.equal(reserved(file), 7);
  const fail = async () => {
    throw new Error("it failed");
  };
  await t.rejects(withHugePages(bytes, fail, file), /it failed/);
  t.equal(reserved(file), 7);
});

t.test("without leave to reserve any it runs all the same", async (t) => {
  t.equal(await withHugePages(bytes, async () => "ran", "/proc/self/none-such"), "ran");
});

/** A program that uses benchmarks' files, until it says a line. */
async function begun(t: Test, program: string): Promise<{ child: ChildProcess; line: string }> {
  const args = ["--input-type=module", "-e", program];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const line = await new Promise<string>((said) => lines.once("line", said));
  return { child, line };
}

const ended = (child: ChildProcess, signal: NodeJS.Signals): Promise<number | string | null> =>
  new Promise((r) => {
    child.once("exit", (code, by) => r(code ?? by));
    child.kill(signal);
  });

const urlOf = (name: string): string => new URL(`../../bench/${name}`, import.meta.url).href;

t.test("an interrupted one gives its pages back", async (t) => {
  const file = pagesFile(t);
  const { child } = await begun(
    t,
    `import { withHugePages } from "${urlOf("huge_pages.js")}";
    const run = () => {
      console.log("runs");
      return new Promise(() => setInterval(() => {}, 1000));
    };
    await withHugePages(${bytes}, run, "${file}");`,
  );
  t.equal(reserved(file), 7 + pages);
  t.equal(await ended(child, "SIGINT"), 130);
  t.equal(reserved(file), 7);
});

t.test("programs that it asks end with it", async (t) => {
  const { child, line } = await begun(
    t,
    `import { Asked } from "${urlOf("programs.js")}";
    const asked = new Asked("sh", ["-c", "trap '' INT TERM; echo $$; while :; do sleep 1; done"]);
    console.log(await asked.line());`,
  );
  const isThere = () => {
    try {
      process.kill(Number(line), 0);
      return true;
    } catch {
      return false;
    }
  };
  t.ok(isThere());
  t.equal(await ended(child, "SIGTERM"), 143);
  for (const until = Date.now() + 60_000; isThere() && Date.now() < until; ) await sleep(20);
  t.notOk(isThere());
});
