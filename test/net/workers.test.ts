// Workers: packets that cross from one to another, and what an idle one costs.
import t from "tap";
import { cpuTimeNs, host, Net, sleep, virtual } from "./kit.js";

const idleMs = 1000;
/** Of which one is enough: a start has things to finish. */
const idleTries = 20;
/** Of one core. */
const idleShareMax = 0.02;

t.test(
  "two workers, ports with one queue each: packets are handed over, none is lost",
  async (t) => {
    const net = await Net.open({ servers: 2, config: { workers: { count: 2, mode: "adaptive" } } });
    t.teardown(() => net.close());
    for (const family of [4, 6] as const) {
      for (const [protocol, port] of [
        ["tcp", 7000],
        ["udp", 7001],
      ] as const) {
        const got = await net.client<{ sent: string; received: string; error: string | null }>(
          protocol,
          virtual[family],
          port,
          1_000_000,
        );
        t.equal(got.error, null);
        t.equal(got.received, got.sent, `${protocol} over IPv${family}`);
      }
    }
    // The second server's port has the client's worker: so many that the first gets some, too.
    const many = await net.client<{ errors: string[] }>("get", `http://${virtual[4]}/`, 20);
    t.same(many.errors, []);
    t.equal(await net.imbalance(), 0);
    const { counts } = net.ask<{ counts: Record<string, number> }>("stats");
    t.ok((counts.handed_over ?? 0) > 0, "packets crossed");
    t.same(await net.badSums(), {});
    t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
  },
);

t.test("in interrupt mode an idle dataplane costs next to nothing", async (t) => {
  const net = await Net.open({ servers: 1, config: { workers: { count: 1, mode: "interrupt" } } });
  t.teardown(() => net.close());
  await net.client("get", `http://${virtual[4]}/`, 5);
  const pid = net.node?.pid ?? 0;
  let share = 1;
  for (let i = 0; i < idleTries && share >= idleShareMax; i++) {
    const before = cpuTimeNs(pid);
    await sleep(idleMs);
    share = (cpuTimeNs(pid) - before) / (idleMs * 1e6);
  }
  t.comment(`idle: ${(share * 100).toFixed(2)} % of a core`);
  t.ok(share < idleShareMax, `idle: ${(share * 100).toFixed(2)} % of a core`);
  const got = await net.client<{ errors: string[] }>("get", `http://${host(virtual[6])}/`, 5);
  t.same(got.errors, [], "and it wakes up");
});
