// kill -9: what is ours is dropped, not given to the kernel, which would answer with resets.
import t from "tap";
import { clientNet, Net, until, virtual } from "./kit.js";

/** Segments that a server's kernel has sent again for want of an answer, each of its connections. */
const againMin = 3;

interface Held {
  server: string;
  ticks: number;
  error: string | null;
  closed: boolean;
}

t.test("after kill -9 nobody sends a reset, and a restart takes over", async (t) => {
  const net = await Net.open({
    servers: 2,
    // The servers' peers are masqueraded behind addresses that the node's kernel has too.
    config: { node: { name: "node-a", addresses: [clientNet.node4], podCIDRs: ["10.1.0.0/16"] } },
    prepare: (net) => net.addHostAddresses(),
  });
  t.teardown(() => net.close());

  const held = await net.hold<Held[]>("hold", 6, virtual[4], 7002);
  const watched = [net.topology.client, ...net.servers.map((s) => s.namespace)];
  const captures = watched.map((namespace) => {
    const filter = "tcp[tcpflags] & tcp-rst != 0 or icmp[icmptype] == icmp-unreach";
    const child = net.spawn(namespace, "tcpdump", ["-n", "-l", "-i", "eth0", filter]);
    let lines = "";
    let said = "";
    child.stdout?.on("data", (data: Buffer) => {
      lines += data;
    });
    child.stderr?.on("data", (data: Buffer) => {
      said += data;
    });
    return { child, lines: () => lines, listens: () => /listening on/.test(said) };
  });
  await until("tcpdump listens", () => captures.every((c) => c.listens()));

  t.same(await net.signal("SIGKILL"), { code: null, signal: "SIGKILL" });
  // The servers send again and again what the client no longer gets, and the client asks anew.
  const said = net.run(
    net.topology.client,
    ...["curl", "-sS", "--max-time", "2", `http://${virtual[4]}/`],
  );
  for (const { name, namespace } of net.servers) {
    const connections = held.first.filter((h) => h.server === name).length;
    await until(
      `${name} sends again`,
      async () => (await net.sentAgain(namespace)) >= againMin * connections,
    );
  }
  t.match(await said, /timed out/i, "dropped, not refused");
  t.same(
    captures.map((c) => c.lines()),
    watched.map(() => ""),
    "no reset, no unreachable on any wire",
  );
  t.same(
    net.programs().sort(),
    ["client", ...net.servers.map((s) => s.port)].sort(),
    "the programs are still there",
  );
  for (const { child } of captures) child.kill("SIGTERM");

  await net.start();
  const got = await net.client<{ errors: string[]; servers: Record<string, number> }>(
    "get",
    `http://${virtual[4]}/`,
    20,
  );
  t.same(got.errors, []);
  await held.finish();
  t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
  const links = net.leftovers();
  t.same(links, []);
});
