// Lines for the log: read while somebody listens, told to everybody once.
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { News, type PortNews } from "../../src/runtime/news.js";

t.test("news", async (t) => {
  let reads = 0;
  let lines = ["peer a connected"];
  const news = new News(() => {
    reads += 1;
    return lines.splice(0).map((text) => ({ port: "p", text }));
  });
  news.tell();
  t.equal(reads, 0, "kept until somebody listens");
  const heard: PortNews[] = [];
  const also: PortNews[] = [];
  const stop = news.listen((n) => heard.push(n));
  news.listen((n) => also.push(n));
  for (const end = Date.now() + 60_000; heard.length === 0 && Date.now() < end; ) await sleep(20);
  t.same(heard, [{ port: "p", text: "peer a connected", isWarning: false }]);
  t.same(also, heard);
  stop();
  lines = ["peer a disconnected: the end", "no connection to @x: refused"];
  news.close();
  t.same(
    also.slice(1).map((n) => n.isWarning),
    [true, true],
    "what was left is told at the end",
  );
  t.equal(heard.length, 1, "but not to those who left");
  const before = reads;
  await sleep(400);
  t.equal(reads, before, "nothing runs on");
});
