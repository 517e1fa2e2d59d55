// zones: what shares the flow tables, and what of them. A new flow is of the first zone that matches.
import { type ZoneRow, ZoneSource, zoneMax } from "../gen/layout.js";
import { NodeplaneError } from "../kit/error.js";
import { defaultZone, type Zone } from "../model/settings.js";

/** Zones' names by id. A name keeps its id; a new one takes that of a zone that is gone. */
export function zoneIds(
  before: readonly string[],
  zones: Readonly<Record<string, Zone>>,
): string[] {
  const ids = [...before];
  for (const name of Object.keys(zones)) {
    if (ids.includes(name)) continue;
    const gone = ids.findIndex((old) => old !== defaultZone && zones[old] === undefined);
    if (gone < 0) ids.push(name);
    else ids[gone] = name;
  }
  if (ids.length > zoneMax)
    throw new NodeplaneError("limit_exceeded", {
      what: "zones",
      count: ids.length,
      limit: zoneMax,
    });
  return ids;
}

const ofNetwork = 1;
const ofNothing = 2;
const sources = { podCIDRs: ZoneSource.pods, outside: ZoneSource.outside } as const;

export const zoneRows = (
  zones: Readonly<Record<string, Zone>>,
  ids: readonly string[],
  networkId: (name: string) => number,
): ZoneRow[] =>
  Object.entries(zones).map(([name, zone]) => ({
    id: ids.indexOf(name),
    guaranteed: zone.guaranteed,
    maximum: zone.maximum,
    network: zone.network === undefined ? 0 : networkId(zone.network),
    source: zone.from === undefined ? ZoneSource.any : sources[zone.from],
    // Pods are not masqueraded (nat.ts): what is set aside for them would be lost to the others.
    snatGuaranteed: zone.from === "podCIDRs" ? 0 : zone.guaranteed,
    flags: (zone.network === undefined ? 0 : ofNetwork) | (name === defaultZone ? ofNothing : 0),
  }));
