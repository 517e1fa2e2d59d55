// nodeplane replay: the same corridor over captures; the packets' own times are the clock.
import { realpathSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { mtuDefault } from "../compile/tables.js";
import { messageOf } from "../kit/error.js";
import type { Model } from "../model/model.js";
import { readCounters } from "../observe/counters.js";
import { allFlows, type Flow } from "../observe/flows.js";
import { renderDrops } from "../observe/stats.js";
import { table } from "../observe/table.js";
import { Dataplane } from "../runtime/dataplane.js";
import {
  type AddCommand,
  action,
  complain,
  Failed,
  loadOrFail,
  print,
  printJson,
  type Rooms,
} from "./context.js";

type Files = ReadonlyMap<string, string>;
export interface ReplayOptions {
  config: string;
  in: Files;
  out: Files;
  report?: string;
  json?: boolean;
}

export interface Report {
  readonly packets: Record<string, { in: number; out: number }>;
  readonly drops: Record<string, number>;
  readonly consumed: number;
  readonly originated: number;
  readonly counters: Record<string, number>;
  readonly flows: Flow[];
}

/** Every port becomes a pcap port with the files that were named for it. */
export function offlineModel(model: Model, inputs: Files, outputs: Files): Model {
  const ports = model.ports.map((port) => {
    const options: Record<string, string> = {};
    const from = inputs.get(port.name);
    const to = outputs.get(port.name);
    if (from !== undefined) options.in = resolve(from);
    if (to !== undefined) options.out = resolve(to);
    return { ...port, driver: "pcap" as const, queues: 1, mtu: port.mtu || mtuDefault, options };
  });
  return { ...model, ports };
}

export function reportOf(dataplane: Dataplane): Report {
  const { counts, drops, ports } = readCounters(dataplane);
  const packets = Object.entries(ports).map(([name, p]) => [
    name,
    { in: p.rxPackets, out: p.txPackets },
  ]);
  const { consumed, originated } = counts;
  return {
    packets: Object.fromEntries(packets),
    drops: drops as Record<string, number>,
    consumed,
    originated,
    counters: counts,
    flows: allFlows(dataplane),
  };
}

/** in + originated - out - drops - consumed: zero, always. */
export function imbalanceOf({ packets, drops, consumed, originated }: Report): number {
  const ports = Object.values(packets);
  const dropped = Object.values(drops).reduce((sum, n) => sum + n, 0);
  return ports.reduce((sum, p) => sum + p.in - p.out, originated) - dropped - consumed;
}

function renderReport(report: Report): string {
  const rows = Object.entries(report.packets).map(([name, p]) => [
    name,
    String(p.in),
    String(p.out),
  ]);
  return [
    table(["PORT", "IN", "OUT"], rows),
    `consumed ${report.consumed}, originated ${report.originated}, flows ${report.flows.length}`,
    renderDrops(report.drops),
  ].join("\n");
}

function checkNames(model: Model, options: ReplayOptions): void {
  const names = new Set(model.ports.map((p) => p.name));
  let isWrong = false;
  for (const option of ["in", "out"] as const) {
    for (const name of options[option].keys()) {
      if (names.has(name)) continue;
      complain(`nodeplane: --${option} ${name}: no port has that name`);
      isWrong = true;
    }
  }
  if (isWrong) throw new Failed();
}

/** /dev/null may be anyone's. */
const isDevice = (file: string): boolean =>
  statSync(file, { throwIfNoEntry: false })?.isCharacterDevice() ?? false;

/** Opening an output empties it: never an input, nor twice. */
function checkFiles(inputs: Files, outputs: Files): void {
  const real = (file: string): string => {
    try {
      return realpathSync(file);
    } catch {
      return resolve(file); // not there yet
    }
  };
  const taken = new Map([...inputs].map(([port, file]) => [real(file), `--in ${port}`]));
  for (const [port, file] of outputs) {
    const other = taken.get(real(file));
    if (other !== undefined) throw new Error(`--out ${port}: ${file} is the file of ${other}`);
    if (!isDevice(file)) taken.set(real(file), `--out ${port}`);
  }
}

export async function replay(
  rooms: Pick<Rooms, "loadFile">,
  options: ReplayOptions,
): Promise<void> {
  const { model, notices } = await loadOrFail(rooms, options.config);
  for (const notice of notices) complain(`note: ${notice}`);
  checkNames(model, options);
  checkFiles(options.in, options.out);
  const dataplane = Dataplane.open(offlineModel(model, options.in, options.out), { offline: true });
  let report: Report;
  let isBalanced: boolean;
  try {
    await dataplane.replay([...options.in.keys()]);
    report = reportOf(dataplane);
  } finally {
    isBalanced = dataplane.close();
  }
  if (options.report) writeReport(options.report, report);
  if (options.json) printJson(report);
  else if (!options.report) print(renderReport(report));
  const imbalance = imbalanceOf(report);
  if (imbalance !== 0)
    throw new Error(`in + originated and out + drops + consumed differ by ${imbalance} packets`);
  if (!isBalanced) throw new Error("not every frame was given back");
}

function writeReport(file: string, report: Report): void {
  try {
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  } catch (caught) {
    throw new Error(`${file}: ${messageOf(caught)}`);
  }
}

function collect(text: string, before: Files): Files {
  const cut = text.indexOf("=");
  if (cut < 1 || cut === text.length - 1) throw new InvalidArgumentError("It must be PORT=FILE.");
  const name = text.slice(0, cut);
  if (before.has(name)) throw new InvalidArgumentError(`Port ${name} is given twice.`);
  return new Map([...before, [name, text.slice(cut + 1)]]);
}

const files = (flags: string, about: string): Option =>
  new Option(flags, about).argParser(collect).default(new Map(), "none");

export const addReplay: AddCommand = (program, rooms) => {
  program
    .command("replay")
    .description("offline: run captures through the corridor; their timestamps are the clock")
    .requiredOption("-c, --config <file>", "configuration; every port is replaced by pcap")
    .addOption(files("--in <port=file>", "capture that arrives on a port (pcap or pcapng)"))
    .addOption(files("--out <port=file>", "where to write what leaves by a port (pcap)"))
    .option("--report <file>", "write packets, drops and flows there as JSON")
    .option("--json", "the report as one JSON document on standard output")
    .action(action((options: ReplayOptions) => replay(rooms, options)));
};
