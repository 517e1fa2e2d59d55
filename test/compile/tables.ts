// Table bytes read back with the generated readers, for tests.

import * as layout from "../../src/gen/layout.js";
import {
  readSectionRow,
  readTablesHeader,
  Section,
  sectionRowSize,
  tablesHeaderSize,
} from "../../src/gen/layout.js";

const readers = {
  settings: layout.readSettingsRow,
  ports: layout.readPortRow,
  addresses: layout.readAddressRow,
  routes: layout.readRouteRow,
  neighbours: layout.readNeighbourRow,
  services: layout.readServiceRow,
  endpoints: layout.readEndpointRow,
  podRanges: layout.readPodRangeRow,
  snatSources: layout.readSnatSourceRow,
  removedServices: layout.readRemovedServiceRow,
  zones: layout.readZoneRow,
};
export type Tables = { [K in keyof typeof readers]: ReturnType<(typeof readers)[K]>[] };

export function decodeTables(bytes: Uint8Array): Tables {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readTablesHeader(view, 0);
  if (header.magic !== layout.tablesMagic || header.byteLength !== bytes.byteLength)
    throw new Error("bad header");
  const out: Record<string, unknown[]> = {};
  for (let s = 0; s < header.sectionCount; s++) {
    const section = readSectionRow(view, tablesHeaderSize + s * sectionRowSize);
    const [name] = Object.entries(Section).find(([, kind]) => kind === section.kind) ?? [""];
    if (section.offset % 8 !== 0) throw new Error(`${name} is not aligned`);
    const read = readers[name as keyof typeof readers] as (view: DataView, at: number) => unknown;
    out[name] = Array.from({ length: section.count }, (_, i) =>
      read(view, section.offset + i * section.rowSize),
    );
  }
  return out as Tables;
}
