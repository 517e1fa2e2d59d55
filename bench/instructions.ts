// A guard against slowness that needs no clock: instructions per packet of the corridor on fixed inputs,
// compared with those of instructions.json. A program of its own:
//   node build/js/bench/instructions.js            a table; status 1 when a figure is more than 3 % over
//   node build/js/bench/instructions.js --update   and what was counted becomes what is expected
//   node build/js/bench/instructions.js --where    where they go; with --update into bench/README.md
// Compilers make different code: under another than the file names, differences are only told.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { messageOf } from "../src/kit/error.js";
import { Callgrind, type Counted, callgrindMissing, whats } from "./callgrind.js";
import { whereTables } from "./where.js";

const expectedFile = fileURLToPath(new URL("../../../bench/instructions.json", import.meta.url));
const readmeFile = fileURLToPath(new URL("../../../bench/README.md", import.meta.url));
const tolerance = 0.03;
const flows = 1000;

export interface Expected {
  readonly compiler: string;
  /** Instructions per packet, by subject. */
  readonly figures: Readonly<Record<string, number>>;
}

export const subjects: readonly Counted[] = ([4, 6] as const).flatMap((family) =>
  whats.flatMap((what) =>
    (["scalar", "avx2"] as const).map((kernel) => ({ family, flows, what, kernel })),
  ),
);

export const nameOf = (c: Counted): string => `${c.what} IPv${c.family} ${c.kernel}`;

export async function countAll(): Promise<Expected> {
  const callgrind = new Callgrind();
  try {
    const figures: Record<string, number> = {};
    let compiler = "";
    for (const subject of subjects) {
      const profile = await callgrind.count(subject);
      compiler = profile.compiler;
      if (profile.kernel !== subject.kernel) continue; // this CPU has none
      figures[nameOf(subject)] = Math.round((profile.all.Ir as number) * 10) / 10;
    }
    return { compiler, figures };
  } finally {
    callgrind.close();
  }
}

export interface Comparison {
  readonly text: string;
  readonly isOver: boolean;
}

export function compare(counted: Expected, expected: Expected): Comparison {
  const isSame = counted.compiler === expected.compiler;
  const lines = [
    `${"instructions per packet".padEnd(28)}${"counted".padStart(9)}${"expected".padStart(10)}`,
  ];
  let isOver = false;
  let isUnder = false;
  for (const [name, now] of Object.entries(counted.figures)) {
    const then = expected.figures[name] ?? 0;
    const change = now / then - 1; // what is not expected at all is over, too
    const isMore = change > tolerance;
    const isLess = change < -tolerance;
    isOver ||= isMore;
    isUnder ||= isLess;
    const percent = `${change >= 0 ? "+" : ""}${(change * 100).toFixed(1)} %`;
    const mark = isMore ? "  OVER" : isLess ? "  fell" : "";
    lines.push(
      `${name.padEnd(28)}${now.toFixed(1).padStart(9)}${then.toFixed(1).padStart(10)}  ${percent}${mark}`,
    );
  }
  if (isOver || isUnder)
    lines.push(
      `more than ${tolerance * 100} % off; if it is meant: node build/js/bench/instructions.js --update`,
    );
  if (!isSame)
    lines.push(`only told: counted with ${counted.compiler}, expected of ${expected.compiler}`);
  return { text: lines.join("\n"), isOver: isOver && isSame };
}

/** What stands between the README's two marks becomes `tables`. */
export function withTables(readme: string, tables: string): string {
  const between = /(<!-- where -->\n)[\s\S]*(<!-- end of where -->)/;
  if (!between.test(readme)) throw new Error("bench/README.md has no place for the tables");
  return readme.replace(between, (_, begin: string, end: string) => `${begin}${tables}\n${end}`);
}

async function where(isUpdate: boolean): Promise<void> {
  const tables = await whereTables();
  console.log(tables);
  if (isUpdate) writeFileSync(readmeFile, withTables(readFileSync(readmeFile, "utf8"), tables));
}

async function guard(isUpdate: boolean): Promise<void> {
  const counted = await countAll();
  const expected = JSON.parse(readFileSync(expectedFile, "utf8")) as Expected;
  const { text, isOver } = compare(counted, expected);
  console.log(text);
  const figures = { ...expected.figures, ...counted.figures };
  if (isUpdate)
    writeFileSync(expectedFile, `${JSON.stringify({ ...counted, figures }, null, 2)}\n`);
  else if (isOver) process.exitCode = 1;
}

async function main(options: readonly string[]): Promise<void> {
  const unknown = options.find((o) => o !== "--where" && o !== "--update");
  if (unknown) throw new Error(`${unknown}: there are --where and --update`);
  const missing = callgrindMissing();
  if (missing) throw new Error(missing);
  await (options.includes("--where") ? where : guard)(options.includes("--update"));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((cause: unknown) => {
    console.error(messageOf(cause));
    process.exitCode = 1;
  });
}
