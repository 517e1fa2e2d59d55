// A program of a benchmark that runs aside.
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** A child that answers each line with a line. */
export class Answerer {
  readonly #answers: ((line: string) => void)[] = [];
  #errors = "";
  constructor(readonly child: ChildProcess) {
    createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on(
      "line",
      (line) => this.#answers.shift()?.(line),
    );
    child.stderr?.on("data", (d: Buffer) => {
      this.#errors = (this.#errors + d.toString()).slice(-2000);
    });
  }
  ask<T>(line: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const ended = (): void =>
        reject(new Error(`a benchmark process ended: ${this.#errors.trim()}`));
      if (this.child.exitCode !== null) return ended();
      this.child.once("exit", ended);
      this.#answers.push((answer) => {
        this.child.off("exit", ended);
        resolve(JSON.parse(answer) as T);
      });
      this.child.stdin?.write(`${line}\n`);
    });
  }
  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exit = new Promise<void>((r) => this.child.once("exit", () => r()));
    this.child.stdin?.end();
    await exit;
  }
}
