// Tables of memif ports and copies, for people.
import t from "tap";
import { renderCopy, renderMemif } from "../../src/observe/memif.js";

t.test("memif ports", async (t) => {
  t.equal(renderMemif({ eth0: { queues: [] }, tap: {} }), "");
  const stats = {
    connects: 3,
    disconnects: 2,
    violations: 1,
    refused: 0,
    frames_held: 64,
    quota: 2048,
  };
  const lines = renderMemif({
    eth0: {},
    pod: { ...stats, peer: "vpp\u001b[31m", last_reason: "a chain too long" },
    idle: { ...stats, peer: "", last_reason: "" },
  }).split("\n");
  t.equal(lines.length, 3);
  t.match(lines[0], /^MEMIF +PEER +CONNECTS +DISCONNECTS +VIOLATIONS +REFUSED +FRAMES HELD/);
  t.match(
    lines[1],
    /^pod +vpp\\u001b\[31m +3 +2 +1 +0 +64 of 2048 +a chain too long$/,
    "no escapes",
  );
  t.match(lines[2], /^idle +none +3/);
});

t.test("copies", async (t) => {
  t.equal(renderCopy({ engine: "cpu avx2", why: "", counters: { copies: 0 } }), "");
  t.equal(
    renderCopy({ engine: "cpu avx2", why: "no DSA", counters: { copies: 0 } }),
    "copies by cpu avx2 (no DSA)",
  );
  t.equal(
    renderCopy({
      engine: "thread",
      why: "",
      counters: { copies: 9, full: 0, by_cpu: 4, dead: false },
    }),
    "copies by thread\ncopies  9\nby_cpu  4",
  );
});
