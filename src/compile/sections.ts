// The bytes of a table set (schema/tables.json): header, section rows, rows, in one buffer.
import {
  addressRowSize,
  endpointRowSize,
  neighbourRowSize,
  podRangeRowSize,
  portRowSize,
  removedServiceRowSize,
  routeRowSize,
  Section,
  sectionRowSize,
  serviceRowSize,
  settingsRowSize,
  snatSourceRowSize,
  tablesHeaderSize,
  tablesMagic,
  tablesVersion,
  writeSectionRow,
  writeTablesHeader,
  zoneRowSize,
} from "../gen/layout.js";
import { NodeplaneError } from "../kit/error.js";

/** Rows of one section: how many, how long, and how to write them all. */
export interface Rows {
  readonly kind: number;
  readonly count: number;
  readonly size: number;
  write(view: DataView, start: number): void;
}

export function rowsOf<R>(
  kind: number,
  rows: readonly R[],
  write: (view: DataView, at: number, row: R) => void,
): Rows {
  const writeAll = (view: DataView, start: number): void => {
    rows.forEach((row, i) => {
      write(view, start + i * size, row);
    });
  };
  const size = rowSizes[kind] as number;
  return { kind, size, count: rows.length, write: writeAll };
}

const rowSizes: Readonly<Record<number, number>> = {
  [Section.settings]: settingsRowSize,
  [Section.ports]: portRowSize,
  [Section.addresses]: addressRowSize,
  [Section.routes]: routeRowSize,
  [Section.neighbours]: neighbourRowSize,
  [Section.services]: serviceRowSize,
  [Section.endpoints]: endpointRowSize,
  [Section.podRanges]: podRangeRowSize,
  [Section.snatSources]: snatSourceRowSize,
  [Section.zones]: zoneRowSize,
  [Section.removedServices]: removedServiceRowSize,
};

export function limit(what: string, count: number, max: number): void {
  if (count > max) throw new NodeplaneError("limit_exceeded", { what, count, limit: max });
}

/** A section of each kind, in order; those not given are empty. */
function whole(sections: readonly Rows[]): Rows[] {
  const given = new Map(sections.map((section) => [section.kind, section]));
  return Object.values(Section).map(
    (kind) =>
      given.get(kind) ?? { kind, size: rowSizes[kind] as number, count: 0, write: () => {} },
  );
}

/** `given`: rows of some kinds, the others have none. */
export function pack(given: readonly Rows[], baseGeneration: number): Uint8Array {
  const sections = whole(given);
  const align = 8;
  let end = tablesHeaderSize + sections.length * sectionRowSize;
  const offsets = sections.map(({ count, size }) => {
    const offset = Math.ceil(end / align) * align;
    end = offset + count * size;
    return offset;
  });
  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  writeTablesHeader(view, 0, {
    magic: tablesMagic,
    version: tablesVersion,
    byteLength: end,
    sectionCount: sections.length,
    baseGeneration,
  });
  sections.forEach((section, s) => {
    const offset = offsets[s] as number;
    const { kind, count, size } = section;
    writeSectionRow(view, tablesHeaderSize + s * sectionRowSize, {
      kind,
      offset,
      count,
      rowSize: size,
    });
    section.write(view, offset);
  });
  return bytes;
}
