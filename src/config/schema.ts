// The shape of a configuration, section by section. Unknown keys are errors.
import { z } from "zod";
import { portMax, workerMax } from "../gen/layout.js";
import { type DriverName, driverNames } from "../model/port.js";
import { hashFields } from "../model/service.js";
import { defaultTimers, type FlowTimers } from "../model/settings.js";
import {
  amount,
  duration,
  flag,
  hex128,
  interfacePrefix,
  ip,
  mac,
  name,
  oneOf,
  oneOfNumber,
  path,
  portRange,
  powerOfTwo,
  prefix,
  secret,
  share,
  whole,
  workQueue,
} from "./fields.js";

export const queueMax = 64;
/** IPv4's least (RFC 791) and the largest an IP packet can be. */
export const mtuMin = 68;
export const mtuMax = 65535;
export const frameCountMax = 1 << 22;
export const flowCapacityMax = 1 << 27;
export const cpuMax = 1023;

/** Of AF_XDP rings (native/driver/af_xdp). */
export const ringMax = 1 << 16;
const ring = powerOfTwo(64, ringMax);
/** Rows of the XDP program's maps. */
export const takeMax = 1 << 23;

/** Of memif rings (native/driver/memif/wire.h): peers refill in lots of 32. */
export const memifRingMin = 32;
export const memifRingMax = 1 << 14;
export const memifRingDefault = 1024;
export const memifBufferMin = 256;
export const memifBufferMax = 1 << 16;
const u32Max = 2 ** 32 - 1;

/** Of copies in one submit (native/copy/engine.h). */
export const copyBatchMax = 1024;
const million = 1_000_000;

/** Keys that are some drivers' own, handed on as they are; the others' ports may not have them. */
const afXdp = ["auto", "af_xdp"] as const;
export const driverKeys = {
  mode: [...afXdp, "memif"],
  copy: afXdp,
  needWakeup: afXdp,
  rxRing: afXdp,
  txRing: afXdp,
  fillRing: afXdp,
  completionRing: afXdp,
  txBudget: afXdp,
  deferUs: afXdp,
  takeMax: afXdp,
  offload: ["tap"],
  persist: ["tap"],
  promiscuous: ["auto", "af_packet"],
  in: ["pcap"],
  out: ["pcap"],
  role: ["memif"],
  socket: ["memif"],
  id: ["memif"],
  secret: ["memif"],
  ringSize: ["memif"],
  bufferSize: ["memif"],
  zeroCopy: ["memif"],
  quota: ["memif"],
} as const satisfies Record<string, readonly DriverName[]>;

const xdpModes = ["auto", "native", "generic"] as const;
/** What `mode` may be; it means another thing to each driver. */
export const modes: Partial<Record<DriverName, readonly string[]>> = {
  auto: xdpModes,
  af_xdp: xdpModes,
  memif: ["ethernet", "ip"],
};

const fault = z.strictObject({
  drop: share.optional(),
  duplicate: share.optional(),
  corrupt: share.optional(),
  reorder: share.optional(),
  txfull: share.optional(),
  delay: duration.optional(),
  seed: whole(0, u32Max).optional(),
});

export const portSchema = z.strictObject({
  name,
  driver: oneOf(...driverNames).default("auto"),
  interface: path.optional(),
  queues: whole(1, queueMax).default(1),
  mtu: whole(mtuMin, mtuMax).optional(),
  mac: mac.optional(),
  addresses: z.array(interfacePrefix).default([]),
  network: name.default("default"),
  host: name.optional(),
  take: oneOf("all", "services").default("all"),
  mode: oneOf(...xdpModes, "ethernet", "ip").optional(),
  copy: oneOf("auto", "copy", "zero-copy").optional(),
  checksum: oneOf("auto", "trust", "compute").default("auto"),
  needWakeup: flag.optional(),
  rxRing: ring.optional(),
  txRing: ring.optional(),
  fillRing: ring.optional(),
  completionRing: ring.optional(),
  txBudget: whole(32, ringMax).optional(),
  deferUs: whole(0, 1000).optional(),
  takeMax: whole(1, takeMax).optional(),
  offload: flag.optional(),
  persist: flag.optional(),
  promiscuous: flag.optional(),
  in: path.optional(),
  out: path.optional(),
  role: oneOf("server", "client").optional(),
  socket: path.optional(),
  id: whole(0, u32Max).optional(),
  secret: secret.optional(),
  ringSize: powerOfTwo(memifRingMin, memifRingMax).optional(),
  bufferSize: whole(memifBufferMin, memifBufferMax).optional(),
  zeroCopy: flag.optional(),
  quota: whole(1, frameCountMax).optional(),
  trace: path.optional(),
  traceMaxBytes: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  fault: fault.optional(),
});
export type PortConfig = z.output<typeof portSchema>;

export const routeSchema = z.strictObject({
  to: prefix,
  via: ip.optional(),
  port: name.optional(),
});
export type RouteConfig = z.output<typeof routeSchema>;

export const neighbourSchema = z.strictObject({ address: ip, mac, port: name });
export type NeighbourConfig = z.output<typeof neighbourSchema>;

export const nodeSchema = z.strictObject({
  name: name.default(""),
  zone: name.default(""),
  addresses: z.array(ip).default([]),
  podCIDRs: z.array(prefix).default([]),
});

const timer = (key: keyof FlowTimers) => duration.default(defaultTimers[key]);
const timers = z.strictObject({
  tcpSynSent: timer("tcpSynSent"),
  tcpSynReceived: timer("tcpSynReceived"),
  tcpEstablished: timer("tcpEstablished"),
  tcpFinWait: timer("tcpFinWait"),
  tcpLastAck: timer("tcpLastAck"),
  tcpTimeWait: timer("tcpTimeWait"),
  tcpClosed: timer("tcpClosed"),
  tcpPickedUp: timer("tcpPickedUp"),
  udpUnreplied: timer("udpUnreplied"),
  udpReplied: timer("udpReplied"),
  icmp: timer("icmp"),
  sctp: timer("sctp"),
});
const zone = z.strictObject({
  network: name.optional(),
  from: oneOf("podCIDRs", "outside").optional(),
  guaranteed: whole(0, 100).default(0),
  maximum: whole(1, 100).default(100),
});

const copyModel = z.strictObject({
  latencyUs: amount(0, million).default(1),
  megabytesPerSecond: whole(1, million).default(30_000),
  size: whole(1, 1024).default(128),
  shared: flag.default(false),
  reorder: flag.default(false),
  poison: flag.default(false),
  faultPerMillion: whole(0, million).default(0),
  errorPerMillion: whole(0, million).default(0),
  seed: whole(0, u32Max).default(1),
});

/** The sections that are one map each; every key has a default. */
export const sections = {
  workers: z.strictObject({
    count: whole(1, workerMax).default(1),
    pin: z.array(whole(0, cpuMax)).default([]),
    mode: oneOf("polling", "interrupt", "adaptive").default("adaptive"),
  }),
  frames: z.strictObject({
    count: whole(256, frameCountMax).default(16384),
    size: oneOfNumber(2048, 4096).default(2048),
    hugePages: flag.default(true),
  }),
  flows: z.strictObject({
    capacity: whole(1, flowCapacityMax).default(262_144),
    capacity6: whole(1, flowCapacityMax).optional(),
    hash: oneOf("sip13", "crc32c").default("sip13"),
    seed: hex128.optional(),
    survive: oneOf("crash", "restart", "never").default("crash"),
    file: path.optional(),
    timers: timers.prefault({}),
    zones: z.record(name, zone).default({}),
  }),
  tcp: z.strictObject({ pickup: flag.default(true) }),
  services: z.strictObject({ hashFields: oneOf(...hashFields).default("5-tuple") }),
  nat: z.strictObject({ ports: portRange.default({ low: 1024, high: 29_999 }) }),
  copy: z.strictObject({
    engine: oneOf("auto", "cpu", "thread", "dsa", "model").default("auto"),
    queues: z.array(workQueue).default([]),
    core: whole(0, cpuMax).optional(),
    bytesMin: whole(0, million).default(256),
    batchMin: whole(1, copyBatchMax).default(4),
    model: copyModel.prefault({}),
  }),
  control: z.strictObject({ socket: path.optional() }),
  icmp: z.strictObject({ errorsPerSecond: whole(0, 1_000_000).default(1000) }),
  neighbourTimers: z.strictObject({
    reachable: duration.default(30_000),
    retry: duration.default(1000),
    tries: whole(1, 100).default(3),
  }),
} as const;
export type SectionName = keyof typeof sections;
export type Sections = { [K in SectionName]: z.output<(typeof sections)[K]> };

export const sectionNames = Object.keys(sections) as SectionName[];
export const rootKeys = [
  "name",
  "ports",
  "routes",
  "neighbours",
  "node",
  "manifests",
  ...sectionNames,
];
export const manifestsSchema = z.array(path);
export const portsMax = portMax;
export const nameSchema = name;
