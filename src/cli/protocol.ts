// The control socket's language: one JSON request per line, one JSON answer per line.
import type { Plan } from "../compile/plan.js";
import type { Problem } from "../kit/error.js";
import type { Service } from "../model/service.js";
import type { Flow, FlowCursor } from "../observe/flows.js";
import type { Stats } from "../observe/stats.js";

export const requestBytesMax = 64 << 10;
export const answerBytesMax = 64 << 20;
export const connectionsMax = 16;
export const idleMsMax = 30_000;
/** Services of one answer; flows come in pages of their own. */
export const servicePage = 4096;

export type Request =
  | { readonly command: "stats" }
  | { readonly command: "flows"; readonly from?: FlowCursor }
  | { readonly command: "services"; readonly from?: number }
  /** An absolute path, read by the running process. */
  | { readonly command: "plan"; readonly file: string };

/** What each command answers. */
export interface Answers {
  stats: Stats;
  flows: { flows: Flow[]; next: FlowCursor | null };
  services: { services: Service[]; next: number | null };
  plan: { plan: Plan } | { problems: Problem[] };
}

export type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string };

const isIndex = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffffffff;

/** One line -> a request, or null: the border is checked once, here. */
export function parseRequest(line: string): Request | null {
  let raw: unknown;
  try {
    raw = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof raw !== "object" || raw === null) return null;
  const { command, from, file } = raw as { command?: unknown; from?: unknown; file?: unknown };
  if (command === "stats") return { command };
  if (command === "plan")
    return typeof file === "string" && file.startsWith("/") ? { command, file } : null;
  if (command === "services") {
    if (from === undefined) return { command };
    return isIndex(from) ? { command, from } : null;
  }
  if (command !== "flows") return null;
  if (from === undefined) return { command };
  const { v6, at } = (from ?? {}) as { v6?: unknown; at?: unknown };
  return typeof v6 === "boolean" && isIndex(at) ? { command, from: { v6, at } } : null;
}
