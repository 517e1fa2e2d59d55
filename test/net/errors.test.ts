// ICMP errors between real stacks: a client only believes one whose inner packet is its own.
import t from "tap";
import { Net, until, virtual } from "./kit.js";

const smallMtu = 1400;

t.test("ICMP errors reach the client mended", async (t) => {
  const net = await Net.open({
    servers: 1,
    prepare: (net) => {
      const server = net.servers[0];
      net.ip(net.topology.node, "link", "set", server?.port ?? "", "mtu", String(smallMtu));
      net.ip(server?.namespace ?? "", "link", "set", "eth0", "mtu", String(smallMtu));
    },
  });
  t.teardown(() => net.close());

  for (const family of [4, 6] as const) {
    await t.test(`IPv${family}: a closed port of an endpoint refuses a UDP socket`, async (t) => {
      const got = await net.client<{ error: string | null }>("refused", virtual[family], 7009);
      t.equal(got.error, "ECONNREFUSED");
    });
    await t.test(
      `IPv${family}: the client learns a smaller MTU behind the virtual address`,
      async (t) => {
        const address = virtual[family];
        const ping = (): Promise<string> =>
          net.run(
            net.topology.client,
            "ping",
            "-n",
            "-c",
            "1",
            "-W",
            "2",
            "-M",
            "do",
            "-s",
            "1430",
            address,
          );
        await until("the MTU is learnt", async () => {
          await ping();
          const route = net.ip(net.topology.client, "route", "get", address);
          return route.includes(`mtu ${smallMtu}`);
        });
        const got = await net.client<{ sent: string; received: string }>(
          "tcp",
          address,
          7000,
          1_000_000,
        );
        t.equal(got.received, got.sent);
      },
    );
  }

  await t.test("no kernel saw a wrong sum", async (t) => {
    t.same(await net.badSums(), {});
    t.equal(await net.imbalance(), 0);
  });
});
