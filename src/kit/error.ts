import { type ErrorCode, errorTemplates } from "../gen/errors.js";

/** An error that users meet: a code of schema/errors.json and its message. */
export class NodeplaneError extends Error {
  override readonly name = "NodeplaneError";
  constructor(
    readonly code: ErrorCode,
    values: Readonly<Record<string, string | number>>,
    options?: ErrorOptions,
  ) {
    super(
      errorTemplates[code].replace(/\{(\w+)\}/g, (_, key: string) => String(values[key] ?? "")),
      options,
    );
  }
}

/** One mistake in somebody's input, with its place. Lines and columns count from 1. */
export interface Problem {
  readonly code: ErrorCode;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Keys from the root, joined by dots; `yaml` or `file` when the mistake has no key. */
  readonly path: string;
  readonly message: string;
}

/** `FILE:LINE:COL: path: message`, always one line. */
export function formatProblem(p: Problem): string {
  return oneLine(`${p.file}:${p.line}:${p.column}: ${p.path}: ${p.message}`);
}

const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
/** Control characters escaped: what others wrote must not draw on a terminal or break lines. */
export function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (c) => escapes[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function sortProblems(problems: readonly Problem[]): Problem[] {
  return [...problems].sort(
    (a, b) =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
}

/** Input with mistakes, for callers that want an exception: all problems in one. */
export class InvalidInput extends Error {
  override readonly name = "InvalidInput";
  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
  }
}

/** What a caught value says. */
export function messageOf(caught: unknown): string {
  if (caught instanceof Error) {
    const system = caught as NodeJS.ErrnoException;
    if (system.code === "ENOENT") return "no such file or directory";
    if (system.code === "EACCES") return "permission denied";
    if (system.code === "EISDIR") return "is a directory";
    return caught.message;
  }
  return String(caught);
}
