// What the two ways of killing a dataplane have in common (bench restart).
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** Of one kill and the start behind it. */
export interface Killed {
  /** From the kill to the first that goes through again. */
  readonly gapMs: number;
  /** Connections. */
  readonly lost: number;
  readonly memory: string;
}

/** Standard output, line by line. */
export function linesOf(child: ChildProcess): () => Promise<string> {
  const input = child.stdout as NodeJS.ReadableStream;
  const all = createInterface({ input })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await all.next();
    if (done) throw new Error(`${child.spawnargs.join(" ")} ended early`);
    return String(value);
  };
}

export const ended = (child: ChildProcess): Promise<void> =>
  new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) done();
    else child.once("exit", () => done());
  });

/** Of what is said of a flow file: without where it is. */
export const pagesOf = (said: string): string =>
  /on 2 MiB/.test(said) ? "2 MiB pages" : "4 KiB pages";
