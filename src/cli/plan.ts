// nodeplane plan: what a running process would change for a configuration; nothing is done.
import { resolve } from "node:path";
import { type Plan, plan, renderPlan } from "../compile/plan.js";
import { type AskOptions, ask } from "./ask.js";
import {
  type AddCommand,
  action,
  complain,
  complainOf,
  Failed,
  loadOrFail,
  print,
  printJson,
  type Rooms,
} from "./context.js";
import { checkSocket, defaultSocket } from "./socket.js";

interface PlanOptions extends AskOptions {
  config: string;
  json?: boolean;
}

function isThere(path: string): boolean {
  try {
    checkSocket(path);
    return true;
  } catch {
    return false;
  }
}

async function askPlan(path: string, file: string): Promise<Plan> {
  const answer = await ask(path, { command: "plan", file: resolve(file) });
  if ("plan" in answer) return answer.plan;
  complainOf(answer.problems);
  throw new Failed();
}

async function show(rooms: Rooms, options: PlanOptions): Promise<void> {
  const { model, notices } = await loadOrFail(rooms, options.config);
  for (const notice of notices) complain(`note: ${notice}`);
  const path =
    options.socket ??
    model.settings.controlSocket ??
    defaultSocket(options.name ?? model.settings.name);
  const isAsked = options.socket !== undefined || isThere(path);
  if (!isAsked) complain("no nodeplane is running: this is what a start would make");
  const changes = isAsked ? await askPlan(path, options.config) : plan(null, model);
  if (options.json) printJson(changes);
  else print(renderPlan(changes));
}

export const addPlan: AddCommand = (program, rooms) => {
  program
    .command("plan")
    .description("what a running process would change; nothing is done")
    .requiredOption("-c, --config <file>", "the configuration wished for")
    .option("-s, --socket <path>", "control socket of the running process")
    .option("-n, --name <name>", "name of the running dataplane")
    .option("--json", "one JSON document on standard output")
    .action(action((options: PlanOptions) => show(rooms, options)));
};
