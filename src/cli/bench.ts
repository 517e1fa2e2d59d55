// nodeplane bench: reproducible figures; bench/README.md says what each means.
import { InvalidArgumentError } from "commander";
import { questions } from "../../bench/index.js";
import { renderReport } from "../../bench/report.js";
import {
  type AddCommand,
  action,
  complain,
  exitUsage,
  Failed,
  print,
  printJson,
} from "./context.js";

async function bench(
  names: readonly string[],
  options: { json?: boolean; full?: boolean; rounds?: number },
): Promise<void> {
  const unknown = names.filter((n) => !questions.some((q) => q.name === n));
  if (unknown.length > 0) {
    complain(
      `nodeplane: no question ${unknown.join(", ")}; there are ${questions.map((q) => q.name).join(", ")}`,
    );
    process.exitCode = exitUsage;
    return;
  }
  const asked = names.length > 0 ? questions.filter((q) => names.includes(q.name)) : questions;
  const reports = [];
  for (const question of asked) {
    let told = 0;
    const progress = (done: number, all: number): void => {
      const tenth = Math.floor((done / all) * 10);
      if (tenth > told) complain(`${question.name}: ${tenth * 10} %`);
      told = Math.max(told, tenth);
    };
    const report = await question.run({
      isFull: options.full ?? false,
      rounds: options.rounds,
      progress,
    });
    reports.push(report);
    if (!options.json) print(`${renderReport(report)}\n`);
  }
  if (options.json) printJson(reports.length === 1 ? reports[0] : reports);
  if (reports.some((r) => r.cases.length === 0)) throw new Failed();
}

function wholeNumber(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError("It must be a whole number.");
  return n;
}

export const addBench: AddCommand = (program) => {
  const list = questions.map((q) => `  ${q.name.padEnd(10)} ${q.about}`).join("\n");
  program
    .command("bench")
    .argument("[question...]", "which; all of them without")
    .description("figures of this machine, interleaved, with min, median and max")
    .option("--json", "one JSON document on standard output; an array for several questions")
    .option("--full", "every case and more samples")
    .option(
      "--rounds <n>",
      "so many samples of each case of memif and copy; 1: a short one",
      wholeNumber,
    )
    .addHelpText("after", `\nQuestions:\n${list}`)
    .action(action(bench));
};
