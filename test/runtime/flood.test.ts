// Floods in real time: a generator sends at full speed into the zone of one network while 100,000
// established connections of this zone and of another carry traffic, and new ones come in the other.
// Loop ports, a running worker, and a thread for each who sends or answers.
import t from "tap";
import { benchService, packPlaces, servicePort } from "../../bench/model.js";
import { readModel } from "../../src/index.js";
import type { IpText, L4Port, MacText } from "../../src/kit/brand.js";
import { addressBytes, macBytes } from "../../src/kit/ip.js";
import { type Protocol, readyEndpoint } from "../../src/model/service.js";
import { imbalance } from "../../src/observe/counters.js";
import { readStats } from "../../src/observe/stats.js";
import type { ZoneStats } from "../../src/observe/zones.js";
import { Dataplane } from "../../src/runtime/dataplane.js";
import {
  type NativeLoad,
  type NativePeer,
  type NativePeerOptions,
  nativeModule,
} from "../../src/runtime/native.js";
import { until, waitMs } from "../kit/until.js";

const established = 50_000; // of each zone
const opened = 20_000; // during each flood
const capacity = 262_144;
/** On the way at most; a cable holds more. */
const window = 256;
const newFirst = 4 * 32_768; // 172.16.0.5 and on, see the routes

const place = (n: number, network: string, subnet: string) => ({
  port: { driver: "loop", mac: `02:00:00:00:00:0${n}`, addresses: [`${subnet}.1/24`], network },
  /** Who is behind it: the way on, or an endpoint. */
  behind: { address: `${subnet}.2` as IpText, mac: `02:00:00:00:01:0${n}` as MacText },
});
const places = {
  clients: place(1, "default", "192.0.2"),
  flood: place(2, "default", "192.0.3"),
  endpoints: place(3, "default", "10.1.0"),
  sink: place(4, "default", "10.2.0"),
  "other-clients": place(5, "other", "192.0.4"),
  "other-new": place(6, "other", "192.0.5"),
  "other-endpoints": place(7, "other", "10.3.0"),
};
type Place = keyof typeof places;

const virtual = (n: number): IpText => `10.96.0.${n}` as IpText;
const service = (n: number, network: string, protocol: Protocol, endpoint: Place) => ({
  ...benchService(`s${n}`, protocol, virtual(n), servicePort, [
    readyEndpoint(places[endpoint].behind.address, 8000 as L4Port),
  ]),
  network,
});

async function open(): Promise<Dataplane> {
  const all = Object.entries(places);
  const route = (to: string, port: Place) => ({ to, via: places[port].behind.address, port });
  const model = await readModel({
    ports: all.map(([name, { port }]) => ({ name, interface: `flood-${name}`, ...port })),
    neighbours: all.map(([port, { behind }]) => ({ ...behind, port })),
    routes: [
      route("0.0.0.0/0", "clients"),
      route("172.16.0.0/30", "other-clients"),
      route("172.16.0.4/30", "other-new"),
    ],
    flows: {
      capacity,
      capacity6: 1024,
      timers: { udpReplied: "1h" }, // whoever is established stays so, however slow the machine
      zones: { other: { network: "other", guaranteed: 60 } },
    },
    frames: { count: 16_384 },
    workers: { count: 1, mode: "polling" },
  });
  return Dataplane.open({
    ...model,
    services: [
      service(1, "default", "UDP", "endpoints"),
      service(2, "default", "UDP", "sink"),
      service(2, "default", "TCP", "sink"),
      service(3, "other", "UDP", "other-endpoints"),
    ],
  });
}

const started: NativePeer[] = [];
const peer = (at: Place, options: Omit<NativePeerOptions, "port">): NativePeer => {
  const name = `flood-${at}`;
  const port = { name, driver: "loop", interface: name, queues: 1, mtu: 1500, options: {} };
  const one = new (nativeModule().Peer)({ port, ...options });
  started.push(one);
  one.start();
  return one;
};
const load = (at: Place, n: number, rest: Partial<NativeLoad>): NativeLoad => ({
  dstMac: macBytes(places[at].port.mac as MacText),
  services: packPlaces([{ address: virtual(n), port: servicePort }]),
  ...rest,
});
/** Connections that are answered; everything comes back, each packet once and in order. */
const talk = (at: Place, n: number, flows: number, firstFlow: number, count = 0): NativePeer =>
  peer(at, {
    mode: "both",
    adaptive: true,
    window,
    count,
    patienceMs: waitMs,
    load: load(at, n, { flows, firstFlow, sequence: true }),
    check: { flows, firstFlow },
  });
const echo = (at: Place): NativePeer => {
  const { address, mac } = places[at].behind;
  const addresses = [addressBytes(address).slice(0, 4)];
  return peer(at, { mode: "echo", adaptive: true, addresses, mac: macBytes(mac) });
};

const unharmed = { lost: 0, duplicated: 0, reordered: 0, corrupt: 0, strange: 0, refused: 0 };
const floods = [
  ["SYN", { protocol: 6, tcpFlags: 0x02 }],
  ["ACK", { protocol: 6, tcpFlags: 0x10 }],
  ["FIN", { protocol: 6, tcpFlags: 0x11 }],
  ["one-way UDP", { protocol: 17 }],
] as const;

t.test("floods at full speed", { timeout: 900_000 }, async (t) => {
  const dataplane = await open();
  t.teardown(async () => {
    await Promise.allSettled(started.map((one) => one.stop())); // also when it failed midway
    dataplane.close();
  });
  dataplane.start();
  const zone = (name: string): ZoneStats =>
    readStats(dataplane).zones.find((z) => z.zone === name && z.family === 4) as ZoneStats;
  const evicted = (z: ZoneStats): number =>
    z.evicted.closing + z.evicted.halfOpen + z.evicted.oneWay;

  const answering = [echo("endpoints"), echo("other-endpoints")];
  const sink = peer("sink", { mode: "sink", adaptive: true });
  const known = [
    talk("clients", 1, established, 0),
    talk("other-clients", 3, established, 0),
  ] as const;
  const lap = (): Promise<void> => {
    const before = known.map((one) => one.stats().received);
    return until("the known ones are answered", () =>
      known.every((one, i) => one.stats().received >= (before[i] as number) + 2 * established),
    );
  };
  await lap();

  for (const [i, [name, packet]] of floods.entries())
    await t.test(name, async (t) => {
      const before = zone("default");
      const flood = peer("flood", {
        mode: "send",
        load: load("flood", 2, { flows: 2 * capacity, firstFlow: newFirst, ...packet }),
      });
      await until("the zone recycles", () => evicted(zone("default")) > evicted(before));
      const fresh = talk("other-new", 3, opened, newFirst + i * opened, opened);
      t.match(await fresh.finished(), { ...unharmed, sent: opened, good: opened });
      await until(
        "as many have gone as fit",
        () => evicted(zone("default")) - evicted(before) > capacity,
      );
      await lap();
      const end = await flood.stop();
      t.comment(`${(end.sent / end.activeSeconds / 1e6).toFixed(1)} million a second`);
      t.ok(end.balanced && (await fresh.stop()).balanced);
      t.match(zone("default"), {
        refused: 0,
        live: { established },
        evicted: { established: 0 },
      });
      t.match(zone("other"), {
        refused: 0,
        live: { established: established + (i + 1) * opened, halfOpen: 0, oneWay: 0, closing: 0 },
        evicted: { established: 0, halfOpen: 0, oneWay: 0, closing: 0 },
      });
    });

  for (const one of known) one.rest();
  await until("everything is back", () =>
    known.every((one) => one.stats().good === one.stats().sent),
  );
  for (const one of known) t.match(await one.stop(), { ...unharmed, balanced: true });
  for (const one of [...answering, sink]) t.match(await one.stop(), { corrupt: 0, balanced: true });
  await until("what stood in the rings is through", () => imbalance(readStats(dataplane)) === 0);
  t.same(
    Object.keys(readStats(dataplane).drops).filter((name) => name !== "tx_ring_full"),
    [],
  );
  t.ok(dataplane.close(), "every frame came back");
});
