// What a command works with. main.ts gives it the rooms that the command line may not look into.
import type { Command } from "commander";
import { formatProblem, messageOf, oneLine, type Problem } from "../kit/error.js";
import { type Log, makeLog } from "../kit/log.js";
import type { Result } from "../kit/result.js";
import type { Loaded } from "../model/model.js";

export const exitOk = 0;
export const exitFailed = 1;
export const exitUsage = 2;

export interface Rooms {
  /** A configuration file and its manifests. */
  loadFile(file: string): Promise<Result<Loaded, Problem[]>>;
  loadObject(config: unknown): Promise<Result<Loaded, Problem[]>>;
  watchFiles(
    paths: readonly string[],
    changed: () => void,
    failed: (why: Error) => void,
  ): { move(paths: readonly string[]): void; close(): void };
}

/** Adds one command to the program. */
export type AddCommand = (program: Command, rooms: Rooms) => void;

/** A command failed and has said all there is to say. */
export class Failed extends Error {}
/** The same, and it was the command line's fault. */
export class WrongUsage extends Failed {}

let log: Log | undefined;
export const theLog = (): Log => {
  log ??= makeLog();
  return log;
};

/** Standard output: what was asked for, and nothing else. */
export function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** A line for people on standard error. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function complainOf(problems: readonly Problem[]): void {
  for (const problem of problems) complain(formatProblem(problem));
}

/** Loads, or tells every mistake and fails. */
export async function loadOrFail(rooms: Pick<Rooms, "loadFile">, file: string): Promise<Loaded> {
  const loaded = await rooms.loadFile(file);
  if (loaded.ok) return loaded.value;
  complainOf(loaded.error);
  throw new Failed();
}

/** Runs a command's action; whatever goes wrong becomes one line and status 1. */
export function action<A extends unknown[]>(run: (...args: A) => Promise<void> | void) {
  return async (...args: A): Promise<void> => {
    try {
      await run(...args);
    } catch (caught) {
      if (!(caught instanceof Failed)) complain(`nodeplane: ${oneLine(messageOf(caught))}`);
      process.exitCode = caught instanceof WrongUsage ? exitUsage : exitFailed;
    }
  };
}
