// kill -9 of nodeplane under traffic, and a start with the same name: connections go on.
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import type { Streamed } from "../../bench/stream.js";
import { Net, type NetOptions, until, virtual } from "./kit.js";

const connections = 1000;
const echoPort = 7000;
const ticksPort = 7002;

/** Clients are no pods: they are masqueraded, so their ports must be taken again too. */
const masqueraded = {
  node: { name: "node-a", addresses: ["192.0.2.1"], podCIDRs: ["10.1.0.0/16"] },
};

interface Stats {
  readonly counts: Record<string, number>;
  readonly flowFile: {
    readonly found: boolean;
    readonly description: string;
    readonly restored: Record<string, number>;
  };
}

interface Held {
  readonly server: string;
  readonly ticks: number;
  readonly error: string | null;
}

const open = async (t: Test, options: NetOptions): Promise<Net> => {
  const net = await Net.open({ servers: 2, ...options });
  t.teardown(() => net.close());
  return net;
};

t.test("1,000 TCP connections with data under way live through kill -9", async (t) => {
  const net = await open(t, { config: masqueraded });
  const held = await net.hold<Streamed>("stream", connections, virtual[4], echoPort);
  t.equal(held.first.connections, connections, "all have begun");
  const { flowFile: before } = net.ask<Stats>("stats");
  t.notOk(before.found);

  const killed = Date.now();
  t.same(await net.signal("SIGKILL"), { code: null, signal: "SIGKILL" });
  await net.start();
  const { flowFile } = net.ask<Stats>("stats");
  t.ok(flowFile.found);
  t.match(flowFile.restored, { damaged: 0, unknown: 0, doubled: 0, portless: 0 });
  t.ok((flowFile.restored.recovered ?? 0) >= connections);
  const streamed = await held.finish();
  t.match(streamed, { connections, lost: 0, wrong: 0, errors: {} }, "every byte came");
  const { counts } = net.ask<Stats>("stats");
  t.equal(counts.service_new_flow, 0, "no connection was made anew");
  t.comment(
    `${connections} connections, ${streamed.bytes} bytes: kill to first byte ${streamed.silenceEnd - killed} ms, ` +
      `slowest connection ${streamed.slowestMs} ms; ${flowFile.restored.recovered} restored in ` +
      `${flowFile.restored.milliseconds?.toFixed(1)} ms, ${flowFile.description}`,
  );

  const file = flowFile.description.split(" ")[0] ?? "";
  t.ok(existsSync(file));
  t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
  t.notOk(existsSync(file), "nothing is left behind");
  t.notOk(existsSync(`${file}.ids`));
});

t.test("a restart with another model: connections to what is gone end, others live", async (t) => {
  const net = await open(t, {
    config: { ...masqueraded, flows: { survive: "restart" } },
  });
  const [stays, goes] = net.servers;
  const held = await net.hold<Held[]>("hold", 40, virtual[4], ticksPort);
  const of = (all: readonly Held[], name = ""): Held[] => all.filter((h) => h.server === name);
  t.ok(of(held.first, stays?.name).length > 3 && of(held.first, goes?.name).length > 3);

  // A clean exit this time, more workers, and one endpoint less.
  t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
  net.writeServices(net.servers.slice(0, 1));
  const config = { ...net.config(), workers: { count: 2, mode: "adaptive" } };
  net.writeConfig(config);
  await net.start();
  const { restored, description } = net.ask<Stats>("stats").flowFile;
  const file = description.split(" ")[0] ?? "";
  t.equal(restored.recovered, 40, "whether they still hold is told by their next packet");
  // A TCP that has waited for so long tries again within as long once more (RFC 6298 section 5.5).
  const forgotten = (): number => net.ask<Stats>("stats").counts.flow_forgotten ?? 0;
  const gone = of(held.first, goes?.name).length;
  await until("connections to what is gone end", () => forgotten() >= gone);
  t.equal(forgotten(), gone, "ended by generation");
  const flows = net.ask<{ reply: { source: string } }[]>("flows");
  t.same([...new Set(flows.map((f) => f.reply.source))], [stays?.address4]);
  t.equal(flows.length, of(held.first, stays?.name).length);

  const ticked = (h: Held, i: number): number => h.ticks - (held.first[i]?.ticks ?? 0);
  await held.until((all) =>
    all.every((h, i) => h.server !== stays?.name || h.error !== null || ticked(h, i) > 10),
  );
  const after = await held.finish();
  for (const [i, h] of after.entries()) {
    if (h.server === stays?.name) {
      t.equal(h.error, null);
      t.ok(ticked(h, i) > 10, `${ticked(h, i)} more ticks`);
    }
  }
  const got = await net.client<{ errors: string[]; servers: Record<string, number> }>(
    "get",
    `http://${virtual[4]}/`,
    10,
  );
  t.same(got, { errors: [], servers: { [stays?.name ?? ""]: 10 } });
  t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
  t.ok(existsSync(file), "kept after a clean exit too");
  net.writeConfig({ ...config, flows: { survive: "crash" } });
  await net.start();
  t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
  t.notOk(existsSync(file), "and now it is not");
});
