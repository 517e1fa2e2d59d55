import { err, ok, type Result } from "./result.js";

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** The longest timer. Records keep last-seen in 32 bits of milliseconds, which wrap after 49 days. */
export const durationMsMax = 10 * 86_400_000;

/** "1500ms", "30s", "5m", "24h", "1d", or a number of seconds -> milliseconds. */
export function parseDuration(raw: unknown): Result<number, string> {
  const form = 'must be seconds or text such as "30s" or "24h"';
  let ms = Number.NaN;
  if (typeof raw === "number") ms = raw * 1000;
  else if (typeof raw === "string") {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(raw);
    if (match) ms = Number(match[1]) * (units[match[2] ?? ""] ?? Number.NaN);
  }
  if (!Number.isFinite(ms)) return err(form);
  ms = Math.round(ms);
  if (ms < 1 || ms > durationMsMax) return err("must be more than 0 and at most 10d");
  return ok(ms);
}

/** Runs once things have been quiet for `ms`; further calls in between start the wait again. */
export function debounce(ms: number, run: () => void): { poke(): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  return {
    poke() {
      clearTimeout(timer);
      timer = setTimeout(run, ms);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
