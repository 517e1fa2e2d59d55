// Configurations that are right, as models; and the smallest fields.
import t from "tap";
import type { Config } from "../../src/config/draft.js";
import { modelOf } from "../../src/config/model.js";
import { parseConfig } from "../../src/config/parse.js";
import { parseDuration } from "../../src/kit/clock.js";
import type { Model } from "../../src/model/model.js";
import { defaultTimers } from "../../src/model/settings.js";

function read(text: string): Model {
  const parsed = parseConfig(text, "f.yaml");
  if (!parsed.ok || parsed.value.problems.length > 0) throw new Error(JSON.stringify(parsed));
  return modelOf(parsed.value.draft as Config, [], "/etc/np");
}

t.test("defaults", async (t) => {
  const model = read("ports:\n  - name: eth0\n");
  t.same(model.ports[0], {
    name: "eth0",
    driver: "auto",
    interface: "eth0",
    queues: 1,
    mtu: 0,
    mac: null,
    addresses: [],
    network: "default",
    host: null,
    take: "all",
    checksum: "auto",
    options: {},
  });
  t.same(model.settings.flows.timers, defaultTimers);
  t.equal(model.settings.flows.capacity6, model.settings.flows.capacity);
  t.same(model.settings.nat, { portLow: 1024, portHigh: 29999 });
  t.equal(model.settings.tcp.pickup, true);
  t.equal(model.settings.controlSocket, null);
  t.same(model.node, { name: "", zone: "", addresses: [], podCIDRs: [] });
});

t.test("sections without keys are defaults", async (t) => {
  t.same(read("ports: []\nflows:\nnode:\nroutes:\n").settings, read("ports: []\n").settings);
});

t.test("everything that can be said of a port", async (t) => {
  const model = read(`ports:
  - { name: t, driver: tap }
  - name: p
    driver: af_xdp
    interface: eth1
    queues: 4
    mtu: 9000
    mac: 02:AA:00:00:00:01
    addresses: [10.0.0.1/24, "2001:DB8:0::1/64", 10.0.0.2]
    network: blue
    host: t
    take: services
    mode: native
    copy: zero-copy
    checksum: compute
    trace: p.pcapng
    rxRing: 512
    needWakeup: false
    deferUs: 0
    fault: { drop: 0.5, delay: 5ms, seed: 7 }
  - { name: f, driver: pcap, in: in.pcap, out: /tmp/out.pcap }
`);
  t.same(model.ports[1], {
    name: "p",
    driver: "af_xdp",
    interface: "eth1",
    queues: 4,
    mtu: 9000,
    mac: "02:aa:00:00:00:01",
    addresses: ["10.0.0.1/24", "2001:db8::1/64", "10.0.0.2/32"],
    network: "blue",
    host: "t",
    take: "services",
    checksum: "compute",
    options: {
      mode: "native",
      copy: "zero-copy",
      take: "services",
      trace: "/etc/np/p.pcapng",
      fault: "drop=0.5,seed=7,delay=5ms",
      rxRing: "512",
      needWakeup: "false",
      deferUs: "0",
      mac: "02:aa:00:00:00:01",
    },
  });
  t.same(model.ports[2]?.options, { in: "/etc/np/in.pcap", out: "/tmp/out.pcap" });
});

t.test("memif ports", async (t) => {
  const { ports, settings } = read(`ports:
  - { name: pod, driver: memif, socket: run/pod.sock }
  - name: peer
    driver: memif
    socket: abstract:vpp
    role: client
    id: 4294967295
    secret: "sésame"
    mode: ip
    ringSize: 2048
    bufferSize: 4096
    zeroCopy: false
    quota: 5000
    queues: 16
    mtu: 9202
    mac: 02:fe:00:00:00:01
copy: { engine: thread, core: 1, model: { latencyUs: 2.5, poison: true } }
`);
  t.match(ports[0], {
    driver: "memif",
    interface: "/etc/np/run/pod.sock",
    options: { socket: "/etc/np/run/pod.sock" },
  });
  t.match(ports[1], { interface: "abstract:vpp", queues: 16, mtu: 9202 });
  t.same(ports[1]?.options, {
    socket: "abstract:vpp",
    role: "client",
    id: "4294967295",
    secret: "sésame",
    mode: "ip",
    ringSize: "2048",
    bufferSize: "4096",
    zeroCopy: "false",
    quota: "5000",
    mac: "02:fe:00:00:00:01",
  });
  t.match(settings.copy, { engine: "thread", core: 1, bytesMin: 256, model: { latencyUs: 2.5 } });
});

t.test("copies are native/copy/copy.h's unless said", async (t) => {
  t.same(read("ports: []\n").settings.copy, {
    engine: "auto",
    queues: [],
    core: null,
    bytesMin: 256,
    batchMin: 4,
    model: {
      latencyUs: 1,
      megabytesPerSecond: 30_000,
      size: 128,
      shared: false,
      reorder: false,
      poison: false,
      faultPerMillion: 0,
      errorPerMillion: 0,
      seed: 1,
    },
  });
});

t.test("routes find the port of their gateway", async (t) => {
  const model = read(`ports:
  - { name: a, addresses: [10.0.0.1/24] }
  - { name: b, addresses: [10.0.1.1/24, "fe80::1/64"] }
routes:
  - { to: 0.0.0.0/0, via: 10.0.1.254 }
  - { to: "::/0", via: "fe80::2", port: b }
  - { to: 10.9.0.0/16, port: a }
`);
  t.same(model.routes, [
    { to: "0.0.0.0/0", via: "10.0.1.254", port: "b" },
    { to: "::/0", via: "fe80::2", port: "b" },
    { to: "10.9.0.0/16", via: null, port: "a" },
  ]);
});

t.test("durations", async (t) => {
  const read = (raw: unknown): number | string => {
    const result = parseDuration(raw);
    return result.ok ? result.value : "refused";
  };
  t.equal(read("30s"), 30_000);
  t.equal(read("24h"), 86_400_000);
  t.equal(read("1500ms"), 1500);
  t.equal(read("1.5m"), 90_000);
  t.equal(read(5), 5000);
  t.equal(read(0.25), 250);
  for (const raw of [
    "",
    "5",
    "-1s",
    "1 s",
    "1w",
    "11d",
    -1,
    0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    null,
    {},
  ]) {
    t.equal(read(raw), "refused", JSON.stringify(raw));
  }
});
