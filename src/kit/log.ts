// Logs go to standard error: standard output belongs to what was asked for.
import pino from "pino";

export type Log = pino.Logger;

/** Synchronous, so that the last lines before an exit are written. NODEPLANE_LOG sets the level. */
export function makeLog(level = process.env.NODEPLANE_LOG ?? "info"): Log {
  const known = level === "silent" || Object.hasOwn(pino.levels.values, level);
  return pino(
    {
      name: "nodeplane",
      level: known ? level : "info",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
