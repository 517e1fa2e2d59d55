// take: services: interfaces shared with the host. Its own traffic is unharmed, neighbours are the
// kernel's, and after kill -9 only what is nodeplane's stops.
import { fileURLToPath } from "node:url";
import t from "tap";
import { clientNet, Net, virtual } from "./kit.js";

interface Got {
  servers: Record<string, number>;
  errors: string[];
}

const own = 8080; // where the host itself serves HTTP, as it would ssh

t.test("services beside a host on the same interfaces", async (t) => {
  const net = await Net.open({
    servers: 2,
    port: { take: "services" },
    prepare: (net) => {
      net.addHostAddresses();
      const server = fileURLToPath(new URL("server.js", import.meta.url));
      net.spawn(net.topology.node, process.execPath, [server, "the-host"]);
    },
  });
  t.teardown(() => net.close());
  const service = (count = 30): Promise<Got> =>
    net.client<Got>("get", `http://${virtual[4]}/`, count);
  const host = (count = 20): Promise<Got> =>
    net.client<Got>("get", `http://${clientNet.node4}:${own}/`, count);

  await t.test("the service and the host answer side by side", async (t) => {
    const [ours, theirs] = await Promise.all([service(), host()]);
    t.same(ours.errors, []);
    t.same(Object.keys(ours.servers).sort(), net.servers.map((s) => s.name).sort());
    t.same(theirs, { servers: { "the-host": 20 }, errors: [] });
  });
  await t.test("the kernel answers for its own address", async (t) => {
    const said = await net.run(
      net.topology.client,
      ...["ping", "-n", "-c", "2", "-i", "0.2", "-w", "60", clientNet.node4],
    );
    t.match(said, / 2 received/);
  });
  await t.test("the books balance, no kernel saw a wrong sum", async (t) => {
    t.equal(await net.imbalance(), 0);
    t.same(await net.badSums(), {});
  });
  await t.test("after kill -9 the host goes on, the service is silent", async (t) => {
    await net.signal("SIGKILL");
    t.same(await host(5), { servers: { "the-host": 5 }, errors: [] });
    const said = await net.run(
      net.topology.client,
      ...["curl", "-sS", "--max-time", "2", `http://${virtual[4]}/`],
    );
    t.match(said, /timed out/i, "dropped, not refused");
    await net.start();
    t.same((await service(10)).errors, []);
  });
  await t.test("a clean exit leaves nothing", async (t) => {
    t.same(await net.signal("SIGTERM"), { code: 0, signal: null });
    t.same(net.leftovers(), []);
  });
});
