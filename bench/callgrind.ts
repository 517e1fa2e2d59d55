// What the corridor executes, counted by valgrind's callgrind: instructions, branches and cache lines
// of the laps of native/path_count.cc. Counts do not swing as times do, and need no quiet machine.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IdDirectory } from "../src/compile/ids.js";
import { compile } from "../src/compile/tables.js";
import { type BenchFamily, benchModel, packServices } from "./model.js";
import { buildProgram } from "./programs.js";

export const whats = ["known", "stages", "new"] as const;

export interface Counted {
  readonly family: BenchFamily;
  readonly flows: number;
  /** `stages`: known flows with the express lane closed. */
  readonly what: (typeof whats)[number];
  /** By name (NODEPLANE_KERNEL). valgrind shows no AVX-512. */
  readonly kernel: "scalar" | "avx2";
}

/** Events by callgrind's names, per packet. */
export type Events = Readonly<Record<string, number>>;

export interface Profile {
  /** In use: an older one than wanted where this CPU has no such instructions. */
  readonly kernel: string;
  /** Of path_count, e.g. `GCC 12.2.0`. */
  readonly compiler: string;
  readonly all: Events;
  /** By function, what it calls left out or included. */
  readonly functions: ReadonlyMap<string, { readonly self: Events; readonly inclusive: Events }>;
}

const laps = 2;
const corridor = "nodeplane::corridor(*";
const runMs = 300_000;
// One machine for all: a Zen 5 core's first level, and a last level as large as its complex has.
const caches = ["--cache-sim=yes", "--D1=49152,12,64", "--LL=33554432,16,64"];

const text = (command: string, args: readonly string[], env = process.env): string =>
  execFileSync(command, args, { encoding: "utf8", env, timeout: runMs, stdio: "pipe" });

/** Why nothing can be counted here, or null. */
export function callgrindMissing(): string | null {
  try {
    text("valgrind", ["--version"]);
    return null;
  } catch {
    return "valgrind is not installed (scripts/setup.sh --test)";
  }
}

const number = (cell: string): number => Number(cell.replaceAll(",", ""));

/** Lines of callgrind_annotate: one cell per event (`1,234 (5.67%)` or `.`), then the function. */
function rows(annotated: string, packets: number): Map<string, Events> {
  const lines = annotated.split("\n");
  const events = /^Events shown:\s+(.*)$/m.exec(annotated)?.[1]?.split(/\s+/) ?? [];
  const cell = String.raw`\s*(\.|[\d,]+)(?: +\([\d. ]+%\))?`;
  const row = new RegExp(`^${cell.repeat(events.length)}\\s+(.*)$`);
  const found = new Map<string, Events>();
  for (const line of lines) {
    const match = row.exec(line);
    if (!match) continue;
    const counts = events.map((event, i) => {
      const count = match[i + 1] as string;
      return [event, count === "." ? 0 : number(count) / packets] as const;
    });
    const place = match[events.length + 1] as string;
    const name = place.replace(/^\S*?:(?!:)/, "").replace(/ \[[^\]]*\]$/, "");
    found.set(name, Object.fromEntries(counts));
  }
  return found;
}

const total = "PROGRAM TOTALS";

export class Callgrind {
  readonly #folder = mkdtempSync(join(tmpdir(), "nodeplane-callgrind-"));
  readonly #program = buildProgram("path_count");

  /** With `isWhole` branches and cache lines too, and by function. */
  async count(c: Counted, isWhole = false): Promise<Profile> {
    const file = (name: string) => join(this.#folder, name);
    const model = await benchModel({ family: c.family, services: 1, flows: 0, name: "count" });
    writeFileSync(file("tables"), compile(model, new IdDirectory()).bytes);
    writeFileSync(file("services"), packServices(c.family, 1));
    const valgrind = [
      ...["--tool=callgrind", "--instr-atstart=no", `--toggle-collect=${corridor}`],
      ...[`--callgrind-out-file=${file("out")}`, "--quiet"],
      ...(isWhole ? ["--branch-sim=yes", ...caches] : []),
    ];
    const own = [file("tables"), file("services"), c.family, c.flows, laps, c.what].map(String);
    const env = { ...process.env, NODEPLANE_KERNEL: c.kernel };
    const said = text("valgrind", [...valgrind, this.#program, ...own], env);
    const [, packets = "", kernel = "", compiler = ""] = /^(\d+) (\w+) (.*)$/m.exec(said) ?? [];
    const annotate = (...options: string[]) =>
      rows(
        text("callgrind_annotate", ["--auto=no", "--threshold=100", ...options, file("out")]),
        Number(packets),
      );
    const self = annotate();
    const inclusive = isWhole ? annotate("--inclusive=yes") : self;
    const all = self.get(total);
    if (!all) throw new Error("callgrind_annotate says no total");
    const functions = new Map(
      [...self]
        .filter(([name]) => name !== total)
        .map(([name, events]) => [
          name,
          { self: events, inclusive: inclusive.get(name) ?? events },
        ]),
    );
    return { kernel, compiler, all, functions };
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
