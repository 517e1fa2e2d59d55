// Packets through two dataplanes that a memif connection joins: modes, engines, families, sizes.
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Dataplane, type LoopEnd, openLoopEnd } from "../../src/index.js";
import { build } from "../kit/packet.js";

const least = { flows: { capacity: 1024 }, frames: { count: 4096 } };
const macs = { in: "02:00:00:00:0a:01", far: "02:00:00:00:0b:09", out: "02:00:00:00:0b:01" };

async function collect(end: LoopEnd): Promise<Uint8Array | null> {
  for (let i = 0; i < 200; i++) {
    for (let bytes = end.collect(); bytes; bytes = end.collect())
      // The port's own announcements are not what was sent.
      if (bytes.length > 100) return bytes;
    await sleep(25);
  }
  return null;
}

/** From A's loop port, over memif, to B's: the client lends its frames or copies. */
async function join(id: string, port: object, client: object, copy: object) {
  const memif = { driver: "memif", socket: `@np-ts-${process.pid}-${id}`, mtu: 9000, ...port };
  const a = await Dataplane.open({
    ports: [
      {
        name: "in",
        driver: "loop",
        interface: `${id}-a`,
        mac: macs.in,
        mtu: 9000,
        addresses: ["192.0.2.1/24", "2001:db8:a::1/64"],
      },
      { ...memif, name: "up", addresses: ["10.0.0.1/30", "2001:db8:0::1/64"] },
    ],
    routes: [
      { to: "198.51.100.0/24", via: "10.0.0.2" },
      { to: "2001:db8:b::/64", via: "2001:db8:0::2" },
    ],
    copy,
    ...least,
  });
  const b = await Dataplane.open({
    ports: [
      {
        ...memif,
        role: "client",
        ...client,
        name: "down",
        addresses: ["10.0.0.2/30", "2001:db8:0::2/64"],
      },
      {
        name: "out",
        driver: "loop",
        interface: `${id}-b`,
        mac: macs.out,
        mtu: 9000,
        addresses: ["198.51.100.1/24", "2001:db8:b::1/64"],
      },
    ],
    neighbours: ["198.51.100.9", "2001:db8:b::9"].map((address) => ({
      address,
      mac: macs.far,
      port: "out",
    })),
    ...least,
  });
  for (const dataplane of [a, b]) dataplane.start();
  return { a, b, near: openLoopEnd(`${id}-a`), far: openLoopEnd(`${id}-b`) };
}

const ways: [string, object, object, { engine: string; [key: string]: unknown }][] = [
  ["copied", {}, {}, { engine: "cpu" }],
  ["lent", {}, { zeroCopy: true }, { engine: "cpu" }],
  ["ip mode", { mode: "ip" }, {}, { engine: "cpu" }],
  ["thread", {}, {}, { engine: "thread", batchMin: 1, bytesMin: 1 }],
  [
    "model",
    { queues: 2 },
    { queues: 2 },
    { engine: "model", batchMin: 1, bytesMin: 1, model: { reorder: true, poison: true } },
  ],
];
for (const [what, port, client, copy] of ways) {
  t.test(what, { timeout: 600_000 }, async (t) => {
    const { a, b, near, far } = await join(what.replace(" ", "-"), port, client, copy);
    for (const [source, destination, bytes] of [
      ["192.0.2.7", "198.51.100.9", 200],
      ["2001:db8:a::7", "2001:db8:b::9", 200],
      ["192.0.2.7", "198.51.100.9", 8000],
    ] as const) {
      const payload = Uint8Array.from({ length: bytes }, (_, i) => i * 7);
      const l4 = { kind: "udp", sport: 4000, dport: 5000, payload } as const;
      const link = { source: macs.far, destination: macs.in };
      let came: Uint8Array | null = null;
      while (far.collect()); // what was sent again and came late
      // The first ones may come before the peer, or wait for the neighbour in vain.
      for (let i = 0; i < 10 && came === null; i++) {
        t.ok(near.inject(build(link, { source, destination, ttl: 64, l4 })), "taken");
        came = await collect(far);
      }
      const leaves = { source: macs.out, destination: macs.far };
      const wanted = build(leaves, { source, destination, ttl: 62, l4 });
      t.same(Buffer.from(came ?? []), Buffer.from(wanted), `${destination}, ${bytes} bytes`);
    }
    t.match(a.driverStats().up, { violations: 0, connects: 1 });
    const { engine, why, counters } = a.copy();
    t.match({ engine, why }, { engine: new RegExp(`^${copy.engine}`), why: "" });
    // The CPU's copies are the worker's own, and no engine's.
    t.equal(Number(counters.copies) > 0, copy.engine !== "cpu", JSON.stringify(counters));
    near.close();
    far.close();
    t.equal(b.close(), true);
    t.equal(a.close(), true, "every frame came back");
  });
}
