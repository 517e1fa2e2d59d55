// The main job between real stacks: through a virtual address, over both families.
import t from "tap";
import { host, Net, namespacesLeft, virtual } from "./kit.js";

const megabyte = 1_000_000;
const families = [4, 6] as const;

interface Transfer {
  bytes: number;
  sent: string;
  received: string;
  error?: string | null;
}

t.test("services over AF_XDP", async (t) => {
  const net = await Net.open();
  t.teardown(() => net.close());

  for (const family of families) {
    const address = virtual[family];
    await t.test(`IPv${family}: every server answers HTTP requests`, async (t) => {
      const got = await net.client<{ servers: Record<string, number>; errors: string[] }>(
        "get",
        `http://${host(address)}/`,
        60,
      );
      t.same(got.errors, []);
      t.same(Object.keys(got.servers).sort(), net.servers.map((s) => s.name).sort());
      t.equal(
        Object.values(got.servers).reduce((a, b) => a + b),
        60,
      );
    });
    await t.test(`IPv${family}: a download arrives as it was sent`, async (t) => {
      const got = await net.client<Transfer>(
        "big",
        `http://${host(address)}/big?bytes=${megabyte}`,
      );
      t.equal(got.bytes, megabyte);
      t.equal(got.received, got.sent);
    });
    for (const [protocol, port] of [
      ["tcp", 7000],
      ["udp", 7001],
    ] as const) {
      await t.test(`IPv${family}: a megabyte over ${protocol} and back`, async (t) => {
        const got = await net.client<Transfer>(protocol, address, port, megabyte);
        t.equal(got.error, null);
        t.equal(got.bytes, megabyte);
        t.equal(got.received, got.sent);
      });
    }
    await t.test(`IPv${family}: echo to an endpoint and to the virtual address`, async (t) => {
      const server = net.servers[0];
      for (const to of [family === 4 ? server?.address4 : server?.address6, address]) {
        const said = await net.run(
          net.topology.client,
          "ping",
          "-n",
          "-c",
          "3",
          "-i",
          "0.2",
          "-w",
          "60",
          String(to),
        );
        t.match(said, / 3 received/, String(to));
      }
    });
  }

  await t.test("no kernel saw a wrong sum, and the books balance", async (t) => {
    t.same(await net.badSums(), {});
    t.equal(await net.imbalance(), 0);
    const flows = net.ask<unknown[]>("flows");
    t.ok(flows.length > 0, "connections are shown");
  });

  await t.test("SIGTERM: a clean exit leaves nothing", async (t) => {
    t.not(net.programs().length, 0, "programs were attached");
    t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
    t.same(net.leftovers(), []);
    await net.close();
    t.same(namespacesLeft(), []);
  });
});

t.test("masquerade: the servers see the node", async (t) => {
  const pods = ["10.1.0.0/16", "fd00:1::/32"];
  const net = await Net.open({
    servers: 1,
    config: { node: { name: "node-a", addresses: ["192.0.2.1"], podCIDRs: pods } },
  });
  t.teardown(() => net.close());
  for (const family of families) {
    const held = await net.hold<{ ticks: number }[]>("hold", 2, virtual[family], 7002);
    const server = net.servers[0];
    const peers = await net.run(
      server?.namespace ?? "",
      "ss",
      "-Htn",
      "state",
      "established",
      "sport = :7002",
    );
    const node = (family === 4 ? server?.address4 : server?.address6)?.replace(/2$/, "1");
    t.equal(
      peers.split("\n").filter((line) => new RegExp(`[[:]${node}]?:\\d+ *$`).test(line)).length,
      2,
      peers,
    );
    t.ok((await held.finish()).every((one) => one.ticks > 0));
    const got = await net.client<Transfer>("udp", virtual[family], 7001, megabyte);
    t.equal(got.received, got.sent);
  }
  t.same(await net.badSums(), {});
});
