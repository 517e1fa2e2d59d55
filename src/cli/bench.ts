// nodeplane bench: reproducible figures; bench/README.md says what each means.
import { basename, join } from "node:path";
import { InvalidArgumentError } from "commander";
import { questions } from "../../bench/index.js";
import type { Question } from "../../bench/questions.js";
import { type Report, renderReport } from "../../bench/report.js";
import { openFolder, readReports, writeReports } from "../../bench/report_files.js";
import { messageOf, oneLine } from "../kit/error.js";
import {
  type AddCommand,
  action,
  complain,
  exitFailed,
  Failed,
  print,
  printJson,
  WrongUsage,
} from "./context.js";

interface Options {
  readonly json?: boolean;
  readonly full?: boolean;
  readonly rounds?: number;
  readonly report?: string;
  readonly from?: string;
}

/** Those asked for by name, or all. */
function asked(names: readonly string[]): readonly Question[] {
  const unknown = names.filter((n) => !questions.some((q) => q.name === n));
  if (unknown.length > 0) {
    const all = questions.map((q) => q.name).join(", ");
    complain(`nodeplane: no question ${unknown.join(", ")}; there are ${all}`);
    throw new WrongUsage();
  }
  return names.length > 0 ? questions.filter((q) => names.includes(q.name)) : questions;
}

/** What goes wrong in one question does not keep the others from being asked. */
async function ask(question: Question, options: Options): Promise<Report> {
  let told = 0;
  const progress = (done: number, all: number): void => {
    const tenth = Math.floor((done / all) * 10);
    if (tenth > told) complain(`${question.name}: ${tenth * 10} %`);
    told = Math.max(told, tenth);
  };
  try {
    const isFull = options.full ?? false;
    return await question.run({ isFull, rounds: options.rounds, progress });
  } catch (cause) {
    complain(`nodeplane: ${question.name}: ${oneLine(messageOf(cause))}`);
    process.exitCode = exitFailed;
    const skipped = `it failed: ${oneLine(messageOf(cause))}`;
    return { question: question.name, machine: {}, cases: [{ subject: question.name, skipped }] };
  }
}

const now = (): string =>
  `Measured until ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`;

async function bench(names: readonly string[], options: Options): Promise<void> {
  const { report: folder, from } = options;
  if (from !== undefined && (folder === undefined || names.length > 0)) {
    complain(
      "nodeplane: --from FILE makes a page of what was measured: it needs --report and no question",
    );
    throw new WrongUsage();
  }
  const wanted = asked(names);
  if (folder !== undefined) openFolder(folder);
  if (folder !== undefined && from !== undefined) {
    await writeReports(folder, readReports(from), `From ${basename(from)}`);
    complain(`written: ${join(folder, "index.html")}`);
    return;
  }
  const reports: Report[] = [];
  for (const question of wanted) {
    const report = await ask(question, options);
    reports.push(report);
    if (!options.json) print(`${renderReport(report)}\n`);
    if (folder !== undefined) await writeReports(folder, reports, now());
  }
  if (options.json) printJson(reports.length === 1 ? reports[0] : reports);
  if (folder !== undefined) complain(`written: ${join(folder, "index.html")}`);
  if (reports.some((r) => r.cases.length === 0)) throw new Failed();
}

/** Far more than an interval needs. */
const roundsMax = 100_000;

function rounds(text: string): number {
  const n = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (n < 1 || n > roundsMax)
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${roundsMax}.`);
  return n;
}

export const addBench: AddCommand = (program) => {
  const nameWidth = Math.max(...questions.map((q) => q.name.length));
  const list = questions.map((q) => `  ${q.name.padEnd(nameWidth)} ${q.about}`).join("\n");
  program
    .command("bench")
    .argument("[question...]", "which; all of them without")
    .description("figures of this machine, interleaved, with min, median and max")
    .option("--json", "one JSON document on standard output; an array for several questions")
    .option("--report <dir>", "a page with tables and charts, every sample as JSON, charts as SVG")
    .option("--from <file>", "the page of an earlier run's JSON; nothing is measured")
    .option("--full", "every case and more samples")
    .option("--rounds <n>", "so many samples of each case; 1: a short one", rounds)
    .addHelpText("after", `\nQuestions:\n${list}`)
    .action(action(bench));
};
