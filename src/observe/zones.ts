// What each zone of the flow tables holds, and whom it had to refuse or let go.
import { readZoneStateRow, type ZoneStateRow, zoneMax, zoneStateRowSize } from "../gen/layout.js";
import type { Dataplane } from "../runtime/dataplane.js";
import { table } from "./table.js";

/** Connections by class, the least worth first: so they give way when there is no room. */
export interface ByClass {
  readonly closing: number;
  readonly halfOpen: number;
  readonly oneWay: number;
  readonly established: number;
}

export interface ZoneStats {
  readonly zone: string;
  readonly family: 4 | 6;
  /** Connections that it is promised, and that it may have. */
  readonly guaranteed: number;
  readonly maximum: number;
  readonly live: ByClass;
  readonly kept: number;
  readonly refused: number;
  readonly evicted: ByClass;
}

const statsOf = (zone: string, family: 4 | 6, row: ZoneStateRow): ZoneStats => ({
  zone,
  family,
  guaranteed: row.guaranteed,
  maximum: row.maximum,
  live: {
    closing: Number(row.closing),
    halfOpen: Number(row.halfOpen),
    oneWay: Number(row.oneWay),
    established: Number(row.established),
  },
  kept: Number(row.kept),
  refused: Number(row.refused),
  evicted: {
    closing: Number(row.evictedClosing),
    halfOpen: Number(row.evictedHalfOpen),
    oneWay: Number(row.evictedOneWay),
    established: Number(row.evictedEstablished),
  },
});

/** Of every zone that has a name. */
export function readZones(dataplane: Dataplane): ZoneStats[] {
  return ([4, 6] as const).flatMap((family) => {
    const view = new DataView(dataplane.native.zones(family === 6));
    return Array.from({ length: zoneMax }, (_, id) => dataplane.directory.zoneOf(id)).flatMap(
      (name, id) =>
        name === undefined
          ? []
          : [statsOf(name, family, readZoneStateRow(view, id * zoneStateRowSize))],
    );
  });
}

const classes = (c: ByClass): string[] =>
  [c.established, c.oneWay, c.halfOpen, c.closing].map(String);
const sum = (c: ByClass): number => c.closing + c.halfOpen + c.oneWay + c.established;

export const renderZones = (zones: readonly ZoneStats[]): string =>
  table(
    [
      "ZONE",
      "FAMILY",
      "GUARANTEED",
      "MAXIMUM",
      "ESTABLISHED",
      "ONE-WAY",
      "HALF-OPEN",
      "CLOSING",
      "KEPT",
      "EVICTED",
      "REFUSED",
    ],
    zones.map((z) => [
      z.zone,
      `IPv${z.family}`,
      String(z.guaranteed),
      String(z.maximum),
      ...classes(z.live),
      String(z.kept),
      String(sum(z.evicted)),
      String(z.refused),
    ]),
  );
