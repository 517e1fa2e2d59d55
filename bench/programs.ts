// Native programs of ours that benchmarks run beside themselves (bench/native): built on demand, and
// those that are asked line by line.
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { makeFolder } from "../src/kit/folder.js";
import { atEnd } from "./at_end.js";

/** Of the package. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));
const buildMs = 600_000;
const saidBytesMax = 64 << 20;
const askMs = 60_000;

/** Of what a failed program said, the line that says why. */
function reasonIn(said: string): string {
  const lines = said.trim().split("\n");
  return lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? "";
}

/** Of a command that failed. */
export function reasonOf(cause: unknown): string {
  const { stderr, message } = cause as { stderr?: Buffer | string; message: string };
  return reasonIn(stderr?.toString().trim() || message);
}

/** Whether pkg-config knows this library. */
export function hasLibrary(name: string): boolean {
  try {
    execFileSync("pkg-config", ["--exists", name], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/**
 * Configures and builds, one process at a time. What the addon's build makes stays as it is: these
 * programs are none of its. Ninja says on standard output what a compiler says.
 */
const buildScript = `cmake -S "$1" -B "$2" -DNODEPLANE_BENCH=ON -DCMAKE_BUILD_TYPE=Release &&
  cmake --build "$2" --target "$3" --parallel 2`;

/**
 * Builds one program where the addon was built, if it was: the core is compiled already.
 * Its path; an Error that says why it cannot be built.
 */
export function buildProgram(name: string): string {
  const addon = join(root, "build/cmake");
  const folder = existsSync(join(addon, "CMakeCache.txt")) ? addon : join(root, "build/bench");
  try {
    makeFolder(folder);
    const lock = join(folder, "bench.lock");
    const command = ["sh", "-c", `(${buildScript}) >&2`, "sh", root, folder, name];
    execFileSync("flock", [lock, ...command], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: buildMs,
      maxBuffer: saidBytesMax,
    });
    return join(folder, name);
  } catch (cause) {
    throw new Error(`${name} cannot be built: ${reasonOf(cause)}`);
  }
}

/** A program that answers each line on its standard input with one line; killed when this one ends. */
export class Asked {
  readonly #child;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<void>;
  #errors = "";

  constructor(
    readonly file: string,
    args: readonly string[],
  ) {
    const child = spawn(file, args, { stdio: "pipe" });
    this.#child = child;
    const forget = atEnd(() => child.kill("SIGKILL"));
    child.stderr.on("data", (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    child.stdin.on("error", () => {}); // it ended; the missing answer says so
    child.on("error", (cause) => {
      this.#errors += cause.message;
    });
    this.#ended = new Promise((resolve) => {
      child.once("close", () => {
        forget();
        resolve();
      });
    });
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line that it says; an Error with its own words when it ended or is silent. */
  async line(): Promise<string> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), askMs);
    const next = await this.#lines.next();
    clearTimeout(timer);
    if (!next.done) return next.value;
    await this.#ended;
    throw new Error(reasonIn(this.#errors) || `${this.file} ended`);
  }

  ask(question: string): Promise<string> {
    this.#child.stdin.write(`${question}\n`);
    return this.line();
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 1000);
    await this.#ended;
    clearTimeout(timer);
  }
}
