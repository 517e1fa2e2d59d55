// What a dataplane says of itself: `stats`, and the rates of `top`.
import { type CounterName, counterAbout, counterNames } from "../gen/counters.js";
import { type DropName, dropAbout } from "../gen/drops.js";
import type { CopyInfo, Dataplane, DriverStats } from "../runtime/dataplane.js";
import type { NativeFlowFile, NativeInfo } from "../runtime/native.js";
import { type Counters, imbalance, readCounters } from "./counters.js";
import { renderCopy, renderMemif } from "./memif.js";
import { table } from "./table.js";
import { readZones, renderZones, type ZoneStats } from "./zones.js";

export interface Stats extends Counters {
  readonly info: NativeInfo;
  readonly drivers: Record<string, string>;
  /** What each port's driver counts itself, by its own names. */
  readonly driverStats: Record<string, DriverStats>;
  readonly copy: CopyInfo;
  /** Null: connections are in private memory. */
  readonly flowFile: NativeFlowFile | null;
  /** Zero whenever no packet is on its way. */
  readonly imbalance: number;
  /** Of the flow tables. */
  readonly zones: readonly ZoneStats[];
}

export function readStats(dataplane: Dataplane): Stats {
  const counters = readCounters(dataplane);
  return {
    ...counters,
    info: dataplane.info(),
    drivers: Object.fromEntries(dataplane.ports.map((p) => [p.name, p.description])),
    driverStats: dataplane.driverStats(),
    copy: dataplane.copy(),
    flowFile: dataplane.flowFile(),
    imbalance: imbalance(counters),
    zones: readZones(dataplane),
  };
}

function renderRestored({ restored: r }: NativeFlowFile): string {
  const ended = [
    [r.damaged, "damaged"],
    [r.unknown, "of unknown services or endpoints"],
    [r.doubled, "doubled"],
    [r.portless, "without their port"],
    [r.expired, "expired"],
  ].flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]));
  return [`${r.recovered} in ${r.milliseconds} ms`, ...ended].join(", ");
}

export function renderStats(stats: Stats): string {
  const { info, counts, ports, drivers, driverStats, copy, flowFile, zones } = stats;
  const facts = [
    ["generation", info.generation],
    ["workers", info.workers],
    ["kernels", info.kernel],
    [
      "flows",
      `${info.flows4} of ${info.flowCapacity4} IPv4, ${info.flows6} of ${info.flowCapacity6} IPv6`,
    ],
    ["flows in", flowFile?.description ?? "private memory"],
    ...(flowFile?.found ? [["flows restored", renderRestored(flowFile)]] : []),
    ["snat ports in use", info.snatInUse],
    [
      "frames",
      `${info.framesFree} of ${info.framesTotal} free, ${info.frameSize} bytes${info.hugePages ? ", huge pages" : ""}`,
    ],
  ].map((row) => row.map(String));
  const byPort = Object.entries(ports).map(([name, p]) => [
    name,
    ...[p.rxPackets, p.rxBytes, p.txPackets, p.txBytes].map(String),
    drivers[name] ?? "",
  ]);
  return [
    table([], facts),
    table(["PORT", "RX PACKETS", "RX BYTES", "TX PACKETS", "TX BYTES", "DRIVER"], byPort),
    renderZones(zones),
    renderMemif(driverStats),
    renderCopy(copy),
    table(
      ["COUNTER", "TOTAL", ""],
      counterNames.map((n: CounterName) => [n, String(counts[n]), counterAbout[n]]),
    ),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

export function renderDrops(drops: Counters["drops"]): string {
  const rows = Object.entries(drops) as [DropName, number][];
  if (rows.length === 0) return "no drops";
  rows.sort((a, b) => b[1] - a[1]);
  return table(
    ["DROP", "PACKETS", ""],
    rows.map(([name, count]) => [name, String(count), dropAbout[name]]),
  );
}

/** What happened per second between two readings. */
export interface Rates {
  readonly seconds: number;
  readonly ports: Record<
    string,
    { rxPackets: number; rxBits: number; txPackets: number; txBits: number }
  >;
  readonly newFlows: number;
  /** Of the copy engine. */
  readonly copies: number;
  readonly copiedBytes: number;
  readonly drops: Record<string, number>;
  readonly flows: number;
}

export function ratesOf(before: Stats, after: Stats, seconds: number): Rates {
  const per = (now: number, was = 0): number => (now - was) / seconds;
  const ports = Object.entries(after.ports).map(([name, p]) => {
    const was = before.ports[name];
    return [
      name,
      {
        rxPackets: per(p.rxPackets, was?.rxPackets),
        rxBits: 8 * per(p.rxBytes, was?.rxBytes),
        txPackets: per(p.txPackets, was?.txPackets),
        txBits: 8 * per(p.txBytes, was?.txBytes),
      },
    ] as const;
  });
  const drops = Object.entries(after.drops).map(
    ([name, n]) => [name, per(n, before.drops[name as DropName])] as const,
  );
  return {
    seconds,
    ports: Object.fromEntries(ports),
    newFlows: per(after.counts.flow_new, before.counts.flow_new),
    copies: per(Number(after.copy.counters.copies), Number(before.copy.counters.copies)),
    copiedBytes: per(Number(after.copy.counters.bytes), Number(before.copy.counters.bytes)),
    drops: Object.fromEntries(drops.filter(([, rate]) => rate > 0)),
    flows: after.info.flows4 + after.info.flows6,
  };
}

export function renderRates(rates: Rates): string {
  const whole = (n: number): string => Math.round(n).toLocaleString("en-US");
  const byPort = Object.entries(rates.ports).map(([name, p]) => [
    name,
    ...[p.rxPackets, p.rxBits, p.txPackets, p.txBits].map(whole),
  ]);
  const drops = Object.entries(rates.drops).sort((a, b) => b[1] - a[1]);
  const parts = [
    `${whole(rates.flows)} flows, ${whole(rates.newFlows)} new per second`,
    table(["PORT", "RX PPS", "RX BPS", "TX PPS", "TX BPS"], byPort),
  ];
  if (rates.copies > 0)
    parts.push(`${whole(rates.copies)} copies, ${whole(rates.copiedBytes)} bytes per second`);
  if (drops.length > 0)
    parts.push(
      table(
        ["DROP", "PER SECOND"],
        drops.map(([n, r]) => [n, whole(r)]),
      ),
    );
  return parts.join("\n\n");
}
