// Models as bytes.
import t from "tap";
import { IdDirectory } from "../../src/compile/ids.js";
import { plan } from "../../src/compile/plan.js";
import { fnv1a64, seedOf } from "../../src/compile/seed.js";
import { compile } from "../../src/compile/tables.js";
import {
  HashFields,
  Masquerade,
  portNone,
  ServiceVerdict,
  ZoneSource,
} from "../../src/gen/layout.js";
import type { L4Port } from "../../src/kit/brand.js";
import { formatAddress, formatMac } from "../../src/kit/ip.js";
import type { Model } from "../../src/model/model.js";
import type { Service } from "../../src/model/service.js";
import { endpoint, modelOf, service } from "./models.js";
import { decodeTables } from "./tables.js";

const tables = (model: Model, directory = new IdDirectory(), options = {}) => {
  const compiled = compile(model, directory, options);
  compiled.commit();
  return decodeTables(compiled.bytes);
};
const at = (row: { family: number; prefixLength: number }, bytes: Uint8Array): string =>
  `${formatAddress(bytes, row.family)}/${row.prefixLength}`;

t.test("ports, addresses, routes, neighbours", async (t) => {
  const got = tables(await modelOf());
  t.same(
    got.ports.map((p) => ({ ...p, mac: formatMac(p.mac) })),
    [
      {
        id: 0,
        mtu: 1500,
        network: 0,
        hostPort: portNone,
        hostOf: portNone,
        checksumMode: 0,
        flags: 0,
        mac: "02:00:00:00:00:01",
      },
      {
        id: 1,
        mtu: 1500,
        network: 1,
        hostPort: portNone,
        hostOf: portNone,
        checksumMode: 0,
        flags: 0,
        mac: "00:00:00:00:00:00",
      },
    ],
  );
  t.same(
    got.addresses.map((a) => `${at(a, a.address)} port ${a.port} network ${a.network}`),
    [
      "192.0.2.1/24 port 0 network 0",
      "2001:db8::1/64 port 0 network 0",
      "fe80::1/64 port 0 network 0",
      "10.1.0.1/24 port 1 network 1",
      "192.0.2.77/32 port 65535 network 0",
      "2001:db8:7::1/128 port 65535 network 0",
    ],
    "global addresses of a port before link-local ones; the node's, unless a port has them",
  );
  t.same(
    got.routes.map(
      (r) =>
        `${at(r, r.prefix)} via ${formatAddress(r.via, r.family)} port ${r.port} network ${r.network} ${r.flags}`,
    ),
    [
      "192.0.2.0/24 via 0.0.0.0 port 0 network 0 0",
      "2001:db8::/64 via :: port 0 network 0 0",
      "10.1.0.0/24 via 0.0.0.0 port 1 network 1 0",
      "198.51.100.0/24 via 192.0.2.254 port 0 network 0 1",
    ],
    "link-local prefixes are not routed",
  );
  t.same(
    got.neighbours.map((n) => [formatAddress(n.address, n.family), n.port, formatMac(n.mac)]),
    [["192.0.2.254", 0, "02:00:00:00:01:fe"]],
  );
});

t.test("what the drivers said of the ports", async (t) => {
  const facts = new Map([
    ["client", { id: 1, mac: Uint8Array.of(2, 9, 9, 9, 9, 9), mtu: 3000 }],
    ["backends", { id: 0, mac: Uint8Array.of(2, 8, 8, 8, 8, 8), mtu: 9000 }],
  ]);
  const got = tables(await modelOf(), new IdDirectory(), { ports: facts, offline: true });
  t.same(
    got.ports.map((p) => [p.id, p.mtu, formatMac(p.mac), p.flags]),
    [
      [0, 9000, "02:08:08:08:08:08", 2],
      [1, 3000, "02:00:00:00:00:01", 2],
    ],
    "by id; a wished MAC wins; a replay sends nothing unasked",
  );
  t.equal(got.neighbours[0]?.port, 1);
});

t.test("a port and its host", async (t) => {
  const ports = [
    { name: "tap", driver: "tap" },
    { name: "eth0", driver: "af_xdp", host: "tap", take: "services", checksum: "compute" },
  ];
  const got = tables(await modelOf([], { ports, routes: [], neighbours: [] }));
  t.same(
    got.ports.map((p) => [p.hostPort, p.hostOf, p.flags, p.checksumMode]),
    [
      [portNone, 1, 0, 0],
      [0, portNone, 1, 2],
    ],
  );
});

t.test("masquerade and its sources", async (t) => {
  const services = [
    service("a", "10.96.0.1", [endpoint("10.1.0.9")]),
    service("b", "fd00:96::1", [endpoint("fd00:1::9")]),
  ];
  const got = tables(await modelOf(services));
  t.same(
    got.services.map((s) => s.masquerade),
    [Masquerade.notFromPods, Masquerade.notFromPods, Masquerade.never, Masquerade.never],
    "by family of podCIDRs",
  );
  t.same(
    got.podRanges.map((p) => `${at(p, p.prefix)} ${p.network}`),
    ["10.1.0.0/24 0"],
  );
  t.same(
    got.snatSources.map((s) => `${s.port} ${formatAddress(s.address, s.family)}`),
    ["0 192.0.2.1", "0 2001:db8::1", "1 10.1.0.1", "1 2001:db8:7::1"],
    "the port's first, never link-local, else the node's",
  );
});

t.test("settings", async (t) => {
  const [row] = tables(
    await modelOf([], {
      tcp: { pickup: false },
      nat: { ports: "5-9" },
      flows: { timers: { tcpEstablished: "1h", sctp: 7 } },
      icmp: { errorsPerSecond: 3 },
      neighbourTimers: { tries: 5 },
    }),
  ).settings;
  t.match(row, {
    tcpPickup: 0,
    snatPortLow: 5,
    snatPortHigh: 9,
    tcpEstablishedMs: 3_600_000,
    sctpMs: 7000,
    icmpErrorsPerSecond: 3,
    neighbourTries: 5,
    tcpSynSentMs: 120_000,
  });
});

t.test("services, endpoints and echoes", async (t) => {
  const web = service("web", "10.96.0.10", [
    endpoint("10.1.0.12"),
    endpoint("10.1.0.11", { choosable: false, weight: 7 }),
  ]);
  const dns = service("web", "10.96.0.10", [endpoint("10.1.0.13", { port: 5353 as L4Port })], {
    portName: "dns",
    port: 53 as L4Port,
    protocol: "UDP",
  });
  const none = service("none", "fd00:96::1", [], { verdict: "drop" });
  const got = tables(await modelOf([web, dns, none]));
  t.same(
    got.services.map((s) => [
      formatAddress(s.address, s.family),
      s.protocol,
      s.bePort,
      s.endpointFirst,
      s.endpointCount,
      s.verdict,
    ]),
    [
      ["10.96.0.10", 6, 80, 0, 2, ServiceVerdict.balance],
      ["10.96.0.10", 17, 53, 2, 1, ServiceVerdict.balance],
      ["10.96.0.10", 1, 0, 2, 1, ServiceVerdict.balance],
      ["fd00:96::1", 6, 80, 3, 0, ServiceVerdict.drop],
      ["fd00:96::1", 58, 0, 3, 0, ServiceVerdict.drop],
    ],
    "the echo goes with the lowest port",
  );
  t.same(
    got.endpoints.map((e) => [formatAddress(e.address, e.family), e.bePort, e.weight, e.flags]),
    [
      ["10.1.0.11", 8080, 7, 0],
      ["10.1.0.12", 8080, 1, 1],
      ["10.1.0.13", 5353, 1, 1],
    ],
    "sorted, so that rings are equal on all nodes",
  );
  t.equal(new Set(got.services.map((s) => s.id)).size, 5);
  t.equal(new Set(got.endpoints.map((e) => e.id)).size, 3);
  t.equal(got.services[0]?.seed, fnv1a64("default/web:/TCP/10.96.0.10"));
  t.equal(got.services[2]?.seed, got.services[1]?.seed, "an echo shares its service's ring");
  t.notOk(
    got.addresses.some((a) => at(a, a.address) === "10.96.0.10/32"),
    "virtual addresses follow from the services",
  );
});

t.test("what of a packet chooses its endpoint", async (t) => {
  const own = { hashFields: "client" } as const;
  const services = [
    service("a", "10.96.0.1", [endpoint("10.1.0.9")]),
    service("b", "10.96.0.2", [endpoint("10.1.0.9")], own),
  ];
  const of = async (more: object) =>
    tables(await modelOf(services, more)).services.map((s) => s.hashFields);
  const { tuple, client } = HashFields;
  t.same(await of({}), [tuple, tuple, client, client], "the default, and the service's own");
  t.same(await of({ services: { hashFields: "client" } }), [client, client, client, client]);
  const [was, now] = [await modelOf(services.slice(0, 1)), await modelOf(services.slice(0, 1))];
  const changed = { ...now, services: [{ ...(services[0] as Service), ...own }] };
  t.equal(plan(was, changed)[0]?.detail, "hashFields: none -> client");
});

t.test("the order of objects changes neither seeds nor the order of endpoints", async (t) => {
  const a = [
    endpoint("10.1.0.1"),
    endpoint("10.1.0.10"),
    endpoint("10.1.0.2"),
    endpoint("10.1.0.2", { port: 81 as L4Port }),
  ];
  const rows = async (endpoints: typeof a) =>
    tables(await modelOf([service("web", "10.96.0.10", endpoints)])).endpoints.map((e) => [
      formatAddress(e.address, 4),
      e.bePort,
    ]);
  t.same(await rows(a), await rows([...a].reverse()));
});

t.test("an endpoint that is named twice is one row", async (t) => {
  const got = tables(
    await modelOf([
      service("web", "10.96.0.10", [
        endpoint("10.1.0.1", { choosable: false }),
        endpoint("10.1.0.1"),
      ]),
    ]),
  );
  t.same(
    got.endpoints.map((e) => e.flags),
    [1],
  );
});

t.test("FNV-1a as its authors publish it", async (t) => {
  const known: [string, bigint][] = [
    ["", 0xcbf29ce484222325n],
    ["a", 0xaf63dc4c8601ec8cn],
    ["foobar", 0x85944171f73967e8n],
  ];
  for (const [text, wanted] of known) t.equal(fnv1a64(text), wanted, JSON.stringify(text));
  for (const namespace of ["", "a", "a", "", "b", "a", "\u00e9", "b", "b"]) {
    const s = service("web", "10.96.0.10", [], { namespace });
    t.equal(seedOf(s), fnv1a64(`${namespace}/web:/TCP/10.96.0.10`), "after other namespaces");
  }
  const slow = (text: string): bigint => {
    let h = 0xcbf29ce484222325n;
    for (const byte of new TextEncoder().encode(text))
      h = ((h ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
    return h;
  };
  for (const text of ["default/web:/TCP/10.96.0.10", "x".repeat(300), "zürich/東京"])
    t.equal(fnv1a64(text), slow(text), text);
});

t.test("zones in order, with ids that stay", async (t) => {
  const directory = new IdDirectory();
  const rows = async (zones: object) =>
    tables(await modelOf([], { flows: { zones } }), directory).zones.map(
      (z) =>
        `${z.id} network ${z.flags & 1 ? z.network : "any"} from ${z.source} ${z.guaranteed}-${z.maximum} ports ${z.snatGuaranteed}${z.flags & 2 ? " nothing" : ""}`,
    );
  t.same(
    await rows({
      pods: { from: "podCIDRs", guaranteed: 40, maximum: 80 },
      storage: { network: "blue", from: "outside", guaranteed: 5 },
      default: { guaranteed: 10 },
    }),
    [
      `1 network any from ${ZoneSource.pods} 40-80 ports 0`,
      `2 network 1 from ${ZoneSource.outside} 5-100 ports 5`,
      `0 network any from ${ZoneSource.any} 10-100 ports 10 nothing`,
    ],
  );
  t.same(
    await rows({ web: { network: "default" }, storage: { network: "blue" } }),
    [
      `1 network 0 from ${ZoneSource.any} 0-100 ports 0`,
      `2 network 1 from ${ZoneSource.any} 0-100 ports 0`,
    ],
    "a new zone takes the id of one that is gone",
  );
  t.same(
    [0, 1, 2, 3].map((id) => directory.zoneOf(id)),
    ["default", "web", "storage", undefined],
  );
});
