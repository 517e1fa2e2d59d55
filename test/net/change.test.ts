// Endpoints change and configurations break while connections run.
import { appendFileSync } from "node:fs";
import t from "tap";
import { Net, sleep, virtual } from "./kit.js";

interface Held {
  server: string;
  ticks: number;
  error: string | null;
  closed: boolean;
}
const settleMs = 1500;

t.test("an endpoint is removed under load", async (t) => {
  const net = await Net.open();
  t.teardown(() => net.close());
  const gone = net.servers[2];
  const live = net.servers.slice(0, 2);

  for (const [how, reload] of [
    ["SIGHUP", true],
    ["file watching", false],
  ] as const) {
    await t.test(`by ${how}: no connection to a live server is cut`, async (t) => {
      net.writeServices(net.servers);
      if (reload) net.reload();
      await sleep(settleMs);
      const held = [
        await net.hold<Held[]>("hold", 12, virtual[4], 7002),
        await net.hold<Held[]>("hold", 12, virtual[6], 7002),
      ];
      const begun = held.flatMap((h) => h.first);
      t.equal(new Set(begun.map((h) => h.server)).size, 3, "all three servers are in use");
      net.writeServices(live);
      if (reload) net.reload();
      await sleep(settleMs);
      const middle = await net.client<{ servers: Record<string, number>; errors: string[] }>(
        "get",
        `http://${virtual[4]}/`,
        40,
      );
      t.same(middle.errors, []);
      t.same(Object.keys(middle.servers).sort(), live.map((s) => s.name).sort());
      const ended = (await Promise.all(held.map((h) => h.finish()))).flat();
      const kept = ended.filter((h) => h.server !== gone?.name);
      t.ok(kept.length >= 12);
      t.same(
        kept.filter((h) => h.error || h.closed),
        [],
      );
      for (const [i, h] of ended.entries())
        if (h.server !== gone?.name)
          t.ok(h.ticks > (begun[i]?.ticks ?? 0) + 10, `${h.server} still ticks`);
    });
  }
  t.same(await net.badSums(), {});
});

t.test("a broken configuration leaves the running one untouched", async (t) => {
  const net = await Net.open({ servers: 2 });
  t.teardown(() => net.close());
  const held = await net.hold<Held[]>("hold", 6, virtual[4], 7002);
  const before = net.ask<unknown>("services");
  appendFileSync(net.configFile, "\n, } broken: [");
  net.reload();
  await sleep(settleMs);
  t.equal(net.node?.exitCode, null, "still runs");
  t.match(net.errors, /nodeplane\.yaml:\d+:\d+: /, "says where");
  t.same(net.ask<unknown>("services"), before);
  const got = await net.client<{ errors: string[] }>("get", `http://${virtual[4]}/`, 10);
  t.same(got.errors, []);
  net.writeConfig(net.config());
  net.reload();
  await sleep(settleMs);
  const ended = await held.finish();
  t.same(
    ended.filter((h) => h.error || h.closed),
    [],
  );
});
