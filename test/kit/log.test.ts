// NODEPLANE_LOG may be anything.
import t from "tap";
import { makeLog } from "../../src/kit/log.js";

t.test("levels that there are, and info for all else", async (t) => {
  for (const level of ["debug", "warn", "silent"]) t.equal(makeLog(level).level, level);
  for (const level of ["", "loud", "constructor", "__proto__"])
    t.equal(makeLog(level).level, "info", level);
});
