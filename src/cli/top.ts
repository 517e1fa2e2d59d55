// nodeplane top: rates of a running process, again and again.
import { setTimeout as sleep } from "node:timers/promises";
import { InvalidArgumentError } from "commander";
import { ratesOf, renderRates } from "../observe/stats.js";
import { type AskOptions, addAskOptions, ask, socketOf } from "./ask.js";
import { type AddCommand, action, print, printJson, type Rooms } from "./context.js";

interface TopOptions extends AskOptions {
  interval: number;
  count?: number;
  json?: boolean;
}
const clearScreen = "\u001b[2J\u001b[H";

async function top(rooms: Rooms, options: TopOptions): Promise<void> {
  const path = await socketOf(options, rooms);
  const times = options.json ? 1 : (options.count ?? Number.POSITIVE_INFINITY);
  let before = await ask(path, { command: "stats" });
  let since = performance.now();
  for (let i = 0; i < times; i++) {
    await sleep(options.interval * 1000);
    const after = await ask(path, { command: "stats" });
    const now = performance.now();
    const rates = ratesOf(before, after, (now - since) / 1000);
    if (options.json) printJson(rates);
    else print((process.stdout.isTTY ? clearScreen : "") + renderRates(rates));
    before = after;
    since = now;
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 3600))
    throw new InvalidArgumentError("It must be more than 0 and at most 3600.");
  return value;
}

export const addTop: AddCommand = (program, rooms) => {
  addAskOptions(program.command("top").description("rates of a running process, until interrupted"))
    .option("-i, --interval <seconds>", "between two readings", positive, 1)
    .option("--count <n>", "stop after so many readings", positive)
    .option("--json", "one reading, as one JSON document on standard output")
    .action(action((options: TopOptions) => top(rooms, options)));
};
