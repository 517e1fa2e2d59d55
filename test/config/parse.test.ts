// Bad configurations, and exactly what is said of them.
import t from "tap";
import { configBytesMax, parseConfig } from "../../src/config/parse.js";
import { linesOf } from "./check.js";

const two = `ports:
  - { name: a, driver: loop, addresses: [192.0.2.1/24, "2001:db8::1/64"] }
  - { name: b, driver: loop, addresses: [10.1.0.1/24] }
`;

/** What is wrong, the text, the lines. */
const bad: [string, string, string[]][] = [
  ["nothing at all", "", ["f.yaml:1:1: config: is empty"]],
  ["a list", "- 1\n", ["f.yaml:1:1: config: must be a map, not a list"]],
  ["no ports", "node: {}\n", ["f.yaml:1:1: ports: is required"]],
  [
    "two documents",
    "ports: []\n---\nports: []\n",
    ["f.yaml:3:1: yaml: only one document is expected"],
  ],
  ["a key twice", "ports: []\nports: []\n", ["f.yaml:2:1: ports: is given twice"]],
  [
    "a key twice, deep",
    "ports:\n  - name: a\n    mtu: 1500\n    mtu: 9000\n",
    ["f.yaml:4:5: ports.0.mtu: is given twice"],
  ],
  [
    "unknown keys",
    `${two}prots: 1\nnode: { nam: x, zone: z }\n`,
    ["f.yaml:4:1: prots: unknown key", "f.yaml:5:9: node.nam: unknown key"],
  ],
  ["a missing name", "ports:\n  - driver: loop\n", ["f.yaml:2:5: ports.0.name: is required"]],
  [
    "a wrong type",
    "ports:\n  - name: a\n    queues: many\n",
    ['f.yaml:3:13: ports.0.queues: must be a whole number from 1 to 64, not text "many"'],
  ],
  [
    "a fraction",
    "ports:\n  - { name: a, queues: 1.5 }\n",
    ["f.yaml:2:24: ports.0.queues: must be a whole number from 1 to 64, not number 1.5"],
  ],
  [
    "an unknown driver",
    "ports:\n  - { name: a, driver: dpkd }\n",
    [
      'f.yaml:2:24: ports.0.driver: must be one of auto, af_xdp, af_packet, tap, memif, pcap, loop, not text "dpkd"',
    ],
  ],
  ["ports that are no list", "ports: { a: 1 }\n", ["f.yaml:1:8: ports: must be a list, not a map"]],
  ["an item that is no map", "ports: [3]\n", ["f.yaml:1:9: ports.0: must be a map, not number 3"]],
  [
    "a bad name",
    'ports: [{ name: "a b" }]\n',
    [
      'f.yaml:1:17: ports.0.name: must be a name of letters, digits, ".", "_" and "-", at most 63 long',
    ],
  ],
  [
    "bad addresses",
    "ports:\n  - name: a\n    addresses: [10.0.0.256/24, 10.0.0.0/24, 10.0.0.255/24, 10.0.0.1/33, 224.0.0.1/8, 7]\n",
    [
      'f.yaml:3:17: ports.0.addresses.0: "10.0.0.256/24" is not an address with a prefix length',
      "f.yaml:3:32: ports.0.addresses.1: 10.0.0.0/24 is the network's own address",
      "f.yaml:3:45: ports.0.addresses.2: 10.0.0.255/24 is the network's broadcast address",
      'f.yaml:3:60: ports.0.addresses.3: "10.0.0.1/33": the prefix length must be 0 to 32',
      "f.yaml:3:73: ports.0.addresses.4: 224.0.0.1/8 is a multicast address",
      "f.yaml:3:86: ports.0.addresses.5: must be an address with a prefix length, not number 7",
    ],
  ],
  [
    "a mapped address",
    'ports: [{ name: a, addresses: ["::ffff:10.0.0.1/96"] }]\n',
    [
      'f.yaml:1:32: ports.0.addresses.0: "::ffff:10.0.0.1/96" is not an address with a prefix length',
    ],
  ],
  [
    "bad MACs",
    "ports:\n  - { name: a, mac: 02:00:00:00:00 }\n  - { name: b, mac: 03:00:00:00:00:01 }\n",
    [
      'f.yaml:2:21: ports.0.mac: "02:00:00:00:00" is not a MAC address',
      'f.yaml:3:21: ports.1.mac: "03:00:00:00:00:01" is a group MAC address',
    ],
  ],
  [
    "one name twice",
    "ports:\n  - { name: a }\n  - { name: a }\n",
    ["f.yaml:3:13: ports.1.name: another port is named a"],
  ],
  [
    "one address twice",
    "ports:\n  - { name: a, addresses: [10.0.0.1/24] }\n  - { name: b, addresses: [10.0.0.1/25] }\n",
    ["f.yaml:3:28: ports.1.addresses.0: 10.0.0.1 is an address of port a already"],
  ],
  [
    "one prefix twice",
    "ports:\n  - { name: a, addresses: [10.0.0.1/24] }\n  - { name: b, addresses: [10.0.0.2/24] }\n",
    ["f.yaml:3:28: ports.1.addresses.0: 10.0.0.0/24 is connected on port a already"],
  ],
  [
    "hosts",
    "ports:\n  - { name: a, host: x }\n  - { name: b, host: b }\n  - { name: c, host: a }\n",
    [
      "f.yaml:2:22: ports.0.host: no port is named x",
      "f.yaml:3:22: ports.1.host: a port is not its own host",
      "f.yaml:4:22: ports.2.host: port a is not a tap",
    ],
  ],
  [
    "keys of another driver",
    "ports:\n  - { name: a, driver: tap, copy: copy, in: x, take: services }\n",
    [
      "f.yaml:2:35: ports.0.copy: is not for driver tap",
      "f.yaml:2:45: ports.0.in: is not for driver tap",
      "f.yaml:2:54: ports.0.take: services is not for driver tap",
    ],
  ],
  [
    "routes",
    `${two}routes:
  - { to: 198.51.100.1/24, via: 192.0.2.254 }
  - { to: 198.51.100.0/24, via: 192.0.3.254, port: a }
  - { to: 198.51.100.0/24, via: 192.0.2.254, port: c }
  - { to: 198.51.100.0/24, via: "2001:db8::2", port: a }
  - { to: 198.51.100.0/24 }
  - { to: 198.51.100.0/24, via: 192.0.2.1, port: a }
  - { to: 203.0.113.0/24, via: 192.0.2.9, port: a }
  - { to: 203.0.113.0/24, via: 192.0.2.8 }
  - { to: 10.1.0.0/24, port: b }
  - { to: 203.0.114.0/24, via: 172.16.0.1 }
`,
    [
      'f.yaml:5:11: routes.0.to: "198.51.100.1/24" has host bits set: did you mean 198.51.100.0/24?',
      "f.yaml:6:33: routes.1.via: 192.0.3.254 is on no prefix of port a",
      "f.yaml:7:52: routes.2.port: no port is named c",
      "f.yaml:8:11: routes.3.to: another route goes to 198.51.100.0/24",
      "f.yaml:8:33: routes.3.via: 2001:db8::2 is not of the family of 198.51.100.0/24",
      "f.yaml:9:5: routes.4: needs via, port or both",
      "f.yaml:10:11: routes.5.to: another route goes to 198.51.100.0/24",
      "f.yaml:10:33: routes.5.via: 192.0.2.1 is port a's own address",
      "f.yaml:12:11: routes.7.to: another route goes to 203.0.113.0/24",
      "f.yaml:13:11: routes.8.to: 10.1.0.0/24 is connected already",
      "f.yaml:14:32: routes.9.via: 172.16.0.1 is on no port's prefix",
    ],
  ],
  [
    "neighbours",
    `${two}neighbours:
  - { address: 192.0.2.9, mac: 02:00:00:00:00:09, port: x }
  - { address: 192.0.2.1, mac: 02:00:00:00:00:09, port: a }
  - { address: 192.0.2.9, mac: 02:00:00:00:00:09, port: a }
  - { address: 192.0.2.9, mac: 02:00:00:00:00:0a, port: a }
  - { address: 192.0.2.8, port: a }
`,
    [
      "f.yaml:5:57: neighbours.0.port: no port is named x",
      "f.yaml:6:16: neighbours.1.address: 192.0.2.1 is port a's own address",
      "f.yaml:8:16: neighbours.3.address: another neighbour has 192.0.2.9 on port a",
      "f.yaml:9:5: neighbours.4.mac: is required",
    ],
  ],
  [
    "the node",
    `${two}node: { addresses: [192.0.2.1, 192.0.2.1, 0.0.0.0], podCIDRs: [10.1.0.0] }\n`,
    [
      "f.yaml:4:43: node.addresses.2: 0.0.0.0 is the unspecified address",
      'f.yaml:4:64: node.podCIDRs.0: "10.1.0.0" lacks its prefix length',
    ],
  ],
  [
    "an address of the node twice",
    `${two}node: { addresses: [192.0.2.1, 192.0.2.1] }\n`,
    ["f.yaml:4:32: node.addresses.1: 192.0.2.1 is given twice"],
  ],
  [
    "workers",
    `${two}workers: { count: 2, pin: [1], mode: fast }\n`,
    ['f.yaml:4:38: workers.mode: must be one of polling, interrupt, adaptive, not text "fast"'],
  ],
  [
    "pins",
    `${two}workers: { count: 2, pin: [1, 1] }\n`,
    ["f.yaml:4:31: workers.pin.1: CPU 1 is given twice"],
  ],
  [
    "too few pins",
    `${two}workers: { count: 2, pin: [1] }\n`,
    ["f.yaml:4:27: workers.pin: names 1 CPUs for 2 workers"],
  ],
  [
    "timers",
    `${two}flows: { timers: { icmp: soon, sctp: 0, udpReplied: 11d, tcp: 1s } }\n`,
    [
      'f.yaml:4:26: flows.timers.icmp: must be seconds or text such as "30s" or "24h"',
      "f.yaml:4:38: flows.timers.sctp: must be more than 0 and at most 10d",
      "f.yaml:4:53: flows.timers.udpReplied: must be more than 0 and at most 10d",
      "f.yaml:4:58: flows.timers.tcp: unknown key",
    ],
  ],
  [
    "zones' names",
    `${two}flows: { zones: { "a\\e[2J": { network: default } } }\n`,
    [
      'f.yaml:4:29: flows.zones.a\\u001b[2J: must be a name of letters, digits, ".", "_" and "-", at most 63 long',
    ],
  ],
  [
    "zones",
    `${two}flows:
  zones:
    a: { network: default, guaranteed: 60, maximum: 50 }
    b: { from: podCIDRs, guaranteed: 50 }
    c: { guaranteed: 0 }
    default: { network: default }
    7: { network: nowhere }
`,
    [
      "f.yaml:6:5: flows.zones: guarantees add up to 110 percent",
      "f.yaml:6:40: flows.zones.a.guaranteed: 60 is above the maximum of 50",
      "f.yaml:7:16: flows.zones.b.from: there are no node.podCIDRs to tell by",
      "f.yaml:8:8: flows.zones.c: needs a network, or from: what belongs to it",
      "f.yaml:9:14: flows.zones.default: what no zone claims is in it: it has no network and no from",
      "f.yaml:10:8: flows.zones.7: a zone's name is no number",
      "f.yaml:10:19: flows.zones.7.network: no port is in network nowhere",
    ],
  ],
  [
    "ranges",
    `${two}nat: { ports: 2000-1000 }\nframes: { size: 3000 }\nflows: { seed: abc, hash: md5 }\nservices: { hashFields: source }\n`,
    [
      'f.yaml:4:15: nat.ports: must be a port range such as "1024-29999", within 1-65535',
      "f.yaml:5:17: frames.size: must be one of 2048, 4096, not number 3000",
      "f.yaml:6:16: flows.seed: must be 32 hex digits",
      'f.yaml:6:27: flows.hash: must be one of sip13, crc32c, not text "md5"',
      'f.yaml:7:25: services.hashFields: must be one of 5-tuple, client, not text "source"',
    ],
  ],
  [
    "keys of memif ports",
    `ports:
  - { name: a, driver: loop, role: server, id: 1, secret: x, ringSize: 32, zeroCopy: false, quota: 1 }
  - { name: b, driver: memif, interface: eth0 }
  - name: c
    driver: memif
    socket: "@c"
    role: master
    id: -1
    secret: ""
    ringSize: 1000
    bufferSize: 100
    zeroCopy: yes please
    quota: 0
  - { name: d, driver: memif, socket: "@d", secret: ${"x".repeat(25)} }
  - { name: e, driver: memif, socket: "@e", secret: 1234 }
`,
    [
      "f.yaml:2:36: ports.0.role: is not for driver loop",
      "f.yaml:2:48: ports.0.id: is not for driver loop",
      "f.yaml:2:59: ports.0.secret: is not for driver loop",
      "f.yaml:2:72: ports.0.ringSize: is not for driver loop",
      "f.yaml:2:86: ports.0.zeroCopy: is not for driver loop",
      "f.yaml:2:100: ports.0.quota: is not for driver loop",
      "f.yaml:3:5: ports.1.socket: is required for driver memif",
      "f.yaml:3:42: ports.1.interface: is not for driver memif: its peer is found by socket",
      'f.yaml:7:11: ports.2.role: must be one of server, client, not text "master"',
      "f.yaml:8:9: ports.2.id: must be a whole number from 0 to 4294967295, not number -1",
      "f.yaml:9:13: ports.2.secret: must be 1 to 24 bytes",
      "f.yaml:10:15: ports.2.ringSize: must be a power of two from 32 to 16384, not number 1000",
      "f.yaml:11:17: ports.2.bufferSize: must be a whole number from 256 to 65536, not number 100",
      'f.yaml:12:15: ports.2.zeroCopy: must be true or false, not text "yes please"',
      "f.yaml:13:12: ports.2.quota: must be a whole number from 1 to 4194304, not number 0",
      "f.yaml:14:53: ports.3.secret: must be 1 to 24 bytes",
      "f.yaml:15:53: ports.4.secret: must be text, not number 1234",
    ],
  ],
  [
    "mode by driver",
    `ports:
  - { name: a, driver: memif, socket: "@a", mode: native }
  - { name: b, driver: af_xdp, mode: ip }
  - { name: c, driver: auto, mode: ethernet }
  - { name: d, driver: tap, mode: ip }
  - { name: e, driver: memif, socket: "@e", mode: punt }
`,
    [
      'f.yaml:2:51: ports.0.mode: must be one of ethernet, ip for driver memif, not text "native"',
      'f.yaml:3:38: ports.1.mode: must be one of auto, native, generic for driver af_xdp, not text "ip"',
      'f.yaml:4:36: ports.2.mode: must be one of auto, native, generic for driver auto, not text "ethernet"',
      "f.yaml:5:35: ports.3.mode: is not for driver tap",
      'f.yaml:6:51: ports.4.mode: must be one of auto, native, generic, ethernet, ip, not text "punt"',
    ],
  ],
  [
    "memif ports and each other",
    `ports:
  - { name: a, driver: memif, socket: run/m.sock }
  - { name: b, driver: memif, socket: ./run/../run/m.sock, id: 0 }
  - { name: c, driver: memif, socket: run/m.sock, id: 1, role: client }
  - { name: d, driver: memif, socket: "abstract:x", id: 7, role: client }
  - { name: e, driver: memif, socket: "@x", id: 7, role: client }
  - { name: f, driver: memif, socket: "@x", id: 8 }
  - { name: g, driver: memif, socket: "x", id: 7 }
`,
    [
      "f.yaml:3:64: ports.1.id: port a has id 0 on the same socket",
      "f.yaml:4:64: ports.2.role: port a is a server on the same socket",
      "f.yaml:6:49: ports.4.id: port d has id 7 on the same socket",
      "f.yaml:7:5: ports.5.role: port d is a client on the same socket",
    ],
  ],
  [
    "sockets and sizes of memif ports",
    `ports:
  - { name: a, driver: memif, socket: /${"p".repeat(107)} }
  - { name: b, driver: memif, socket: "@${"q".repeat(108)}" }
  - { name: c, driver: memif, socket: "@" }
  - { name: d, driver: memif, socket: "@d", zeroCopy: true }
  - { name: e, driver: memif, socket: "@e", queues: 17 }
  - { name: f, driver: memif, socket: "@f", mtu: 9203 }
  - { name: g, driver: memif, socket: "@g", take: services }
  - { name: j, driver: memif, socket: "@j", queues: 2, quota: 255 }
  - { name: k, driver: memif, socket: "@k", role: client, zeroCopy: true, mode: ip }
  - { name: h, driver: memif, socket: /${"p".repeat(106)} }
  - { name: i, driver: memif, socket: "@${"q".repeat(107)}", queues: 16, mtu: 9202 }
`,
    [
      "f.yaml:2:39: ports.0.socket: is 108 bytes long from the root, more than 107",
      "f.yaml:3:39: ports.1.socket: is 108 bytes long, more than 107",
      "f.yaml:4:39: ports.2.socket: an abstract socket needs a name",
      "f.yaml:5:55: ports.3.zeroCopy: needs role client: only a client lends its memory",
      "f.yaml:6:53: ports.4.queues: must be at most 16 for driver memif",
      "f.yaml:7:50: ports.5.mtu: must be at most 9202 for driver memif",
      "f.yaml:8:51: ports.6.take: services is not for driver memif",
      "f.yaml:9:63: ports.7.quota: must be at least 256: 128 for each queue",
      "f.yaml:10:69: ports.8.zeroCopy: is not for mode ip, which needs room before the packet",
    ],
  ],
  [
    "more frames kept than there are",
    `ports:
  - { name: a, driver: memif, socket: "@a", quota: 1920 }
  - { name: b, driver: memif, socket: "@b", role: client, zeroCopy: true, ringSize: 512 }
  - { name: c, driver: memif, socket: "@c", quota: 129 }
  - { name: d, driver: memif, socket: "@d", quota: 1000 }
frames: { count: 4090 }
`,
    ["f.yaml:4:52: ports.2.quota: memif ports may keep 3073 frames, more than 75 % of 4090"],
  ],
  [
    "copies",
    `${two}copy:
  engine: gpu
  queues: [wq0.0, dsa0, 3]
  core: 5000
  batchMin: 0
  model: { latencyUs: -1, size: 0, speed: 9, faultPerMillion: 1000001 }
`,
    [
      'f.yaml:5:11: copy.engine: must be one of auto, cpu, thread, dsa, model, not text "gpu"',
      "f.yaml:6:19: copy.queues.1: must be a DSA work queue such as wq0.0",
      "f.yaml:6:25: copy.queues.2: must be a DSA work queue, not number 3",
      "f.yaml:7:9: copy.core: must be a whole number from 0 to 1023, not number 5000",
      "f.yaml:8:13: copy.batchMin: must be a whole number from 1 to 1024, not number 0",
      "f.yaml:9:23: copy.model.latencyUs: must be a number from 0 to 1000000, not number -1",
      "f.yaml:9:33: copy.model.size: must be a whole number from 1 to 1024, not number 0",
      "f.yaml:9:36: copy.model.speed: unknown key",
      "f.yaml:9:63: copy.model.faultPerMillion: must be a whole number from 0 to 1000000, not number 1000001",
    ],
  ],
  [
    "a queue twice",
    `${two}copy: { queues: [wq0.0, wq0.1, wq0.0] }\n`,
    ["f.yaml:4:32: copy.queues.2: wq0.0 is given twice"],
  ],
  [
    "mistakes of different kinds at once",
    "ports:\n  - { name: a, queues: 0 }\n  - { name: b, host: c }\nroutes:\n  - { to: x, port: d }\n  - { to: 10.0.0.0/8, port: d }\n",
    [
      "f.yaml:2:24: ports.0.queues: must be a whole number from 1 to 64, not number 0",
      "f.yaml:3:22: ports.1.host: no port is named c",
      'f.yaml:5:11: routes.0.to: "x" is not an IP address',
      "f.yaml:6:29: routes.1.port: no port is named d",
    ],
  ],
];

for (const [what, text, lines] of bad) t.test(what, async (t) => t.same(linesOf(text), lines));

t.test("text that is no YAML", async (t) => {
  const lines = linesOf("ports: [\n  - x: {\n");
  t.ok(lines.length > 0, "is told");
  for (const line of lines)
    t.match(line, /^f\.yaml:\d+:\d+: yaml: \S/, "with a place, in one line");
});

t.test("aliases that would fill the memory", async (t) => {
  const levels = Array.from(
    { length: 9 },
    (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(", ")}]`,
  );
  const [line = ""] = linesOf(`a0: &a0 [x]\n${levels.join("\n")}\n`);
  t.match(line, /^f\.yaml:1:1: yaml: /);
});

t.test("nesting deeper than the stack", async (t) => {
  const [line = ""] = linesOf(`ports: ${"[".repeat(200_000)}`);
  t.match(line, /^f\.yaml:\d+:\d+: yaml: /);
});

t.test("a text that is too long", async (t) => {
  t.same(linesOf(`#${"x".repeat(configBytesMax)}`), [
    "f.yaml:1:1: file: is longer than the limit of 4194304 bytes",
  ]);
});

t.test("control characters stay inside the line", async (t) => {
  t.same(linesOf('ports: [{ name: a, "x\\ny\\e": 1 }]\n'), [
    "f.yaml:1:20: ports.0.x\\ny\\u001b: unknown key",
  ]);
});

t.test("the replay configuration of the contract", async (t) => {
  const text = `ports:
  - { name: client,   driver: pcap, addresses: [192.0.2.1/24], mac: 02:00:00:00:00:01 }
  - { name: backends, driver: pcap, addresses: [10.1.0.1/24],  mac: 02:00:00:00:00:02 }
routes:
  - { to: 198.51.100.0/24, via: 192.0.2.254, port: client }
neighbours:
  - { address: 192.0.2.254, mac: 02:00:00:00:01:fe, port: client }
  - { address: 10.1.0.11,   mac: 02:00:00:00:02:0b, port: backends }
node: { name: node-a, zone: zone-1, addresses: [192.0.2.1], podCIDRs: [10.1.0.0/24] }
manifests: [services.yaml]        # Kubernetes objects
`;
  const read = parseConfig(text, "f.yaml");
  t.ok(read.ok);
  if (!read.ok) return;
  t.same(read.value.problems, []);
  t.same(read.value.draft.manifests, ["services.yaml"]);
  t.equal(read.value.draft.node.podCIDRs[0], "10.1.0.0/24");
  t.equal(read.value.draft.sections.flows.timers.tcpEstablished, 86_400_000);
});
