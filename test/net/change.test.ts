// Endpoints change and configurations break while connections run.
import { appendFileSync } from "node:fs";
import t from "tap";
import type { Server } from "../../src/demo/topology.js";
import { Net, until, virtual } from "./kit.js";

interface Held {
  server: string;
  ticks: number;
  error: string | null;
  closed: boolean;
}

/** So many that none of three servers is left out: once in a million. */
const connections = 20;
const isBroken = (h: Held): boolean => h.error !== null || h.closed;
const ticksOn = (h: Held, before: Held | undefined): boolean => h.ticks > (before?.ticks ?? 0) + 10;

/** Waits until the running model has these servers, and no others, behind its services. */
const serves = (net: Net, servers: readonly Server[]): Promise<void> =>
  until(`services of ${servers.map((s) => s.name)}`, () => {
    const services = net.ask<{ endpoints: { address: string }[] }[]>("services");
    const addresses = new Set(services.flatMap((s) => s.endpoints.map((e) => e.address)));
    const wished = servers.flatMap((s) => [s.address4, s.address6]);
    return addresses.size === wished.length && wished.every((a) => addresses.has(a));
  });

/** Another file of services, brought in by a signal or noticed by itself. */
async function change(net: Net, servers: readonly Server[], bySignal: boolean): Promise<void> {
  net.errors = "";
  net.writeServices(servers);
  if (bySignal) {
    net.reload();
    await net.says(/SIGHUP: /);
  }
  await serves(net, servers);
}

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
      await change(net, net.servers, reload);
      const held = await Promise.all(
        ([4, 6] as const).map((family) =>
          net.hold<Held[]>("hold", connections, virtual[family], 7002),
        ),
      );
      const begun = held.flatMap((h) => h.first);
      t.equal(new Set(begun.map((h) => h.server)).size, 3, "all three servers are in use");
      await change(net, live, reload);
      // From here on: what still ticks does so under the new model.
      const now = await Promise.all(held.map((h) => h.until(() => true)));
      const middle = await net.client<{ servers: Record<string, number>; errors: string[] }>(
        "get",
        `http://${virtual[4]}/`,
        40,
      );
      t.same(middle.errors, []);
      t.same(Object.keys(middle.servers).sort(), live.map((s) => s.name).sort());
      const isKept = (h: Held): boolean => h.server !== gone?.name;
      for (const [i, h] of held.entries()) {
        const isDone = (one: Held, k: number): boolean =>
          !isKept(one) || isBroken(one) || ticksOn(one, now[i]?.[k]);
        await h.until((all) => all.every(isDone));
      }
      const ended = (await Promise.all(held.map((h) => h.finish()))).flat();
      t.same(
        ended.filter((h) => isKept(h) && isBroken(h)),
        [],
      );
      for (const [i, h] of ended.entries())
        if (isKept(h)) t.ok(ticksOn(h, now.flat()[i]), `${h.server} still ticks`);
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
  net.errors = "";
  net.reload();
  await net.says(/nothing changed/);
  t.equal(net.node?.exitCode, null, "still runs");
  t.match(net.errors, /nodeplane\.yaml:\d+:\d+: /, "says where");
  t.same(net.ask<unknown>("services"), before);
  const got = await net.client<{ errors: string[] }>("get", `http://${virtual[4]}/`, 10);
  t.same(got.errors, []);
  net.writeConfig(net.config());
  net.errors = "";
  net.reload();
  await net.says(/no changes/);
  t.same((await held.finish()).filter(isBroken), []);
});
