// nodeplane flows, services, stats, drops: ask a running process.
import type { Command } from "commander";
import type { Service } from "../model/service.js";
import { type Flow, type FlowCursor, flowCells, flowColumns } from "../observe/flows.js";
import { serviceCells, serviceColumns } from "../observe/services.js";
import { renderDrops, renderStats } from "../observe/stats.js";
import { table } from "../observe/table.js";
import { type AskOptions, addAskOptions, ask, socketOf } from "./ask.js";
import { type AddCommand, action, print, printJson, type Rooms } from "./context.js";

interface QueryOptions extends AskOptions {
  json?: boolean;
}
type Show = (path: string, json: boolean) => Promise<void>;

async function showFlows(path: string, json: boolean): Promise<void> {
  const flows: Flow[] = [];
  let from: FlowCursor | null = { v6: false, at: 0 };
  while (from !== null) {
    const page: { flows: Flow[]; next: FlowCursor | null } = await ask(path, {
      command: "flows",
      from,
    });
    for (const flow of page.flows) flows.push(flow);
    from = page.next;
  }
  if (json) printJson(flows);
  else print(flows.length === 0 ? "no flows" : table(flowColumns, flows.map(flowCells)));
}

async function showServices(path: string, json: boolean): Promise<void> {
  const services: Service[] = [];
  let from: number | null = 0;
  while (from !== null) {
    const page: { services: Service[]; next: number | null } = await ask(path, {
      command: "services",
      from,
    });
    for (const service of page.services) services.push(service);
    from = page.next;
  }
  if (json) printJson(services);
  else
    print(
      services.length === 0 ? "no services" : table(serviceColumns, services.map(serviceCells)),
    );
}

async function showStats(path: string, json: boolean): Promise<void> {
  const stats = await ask(path, { command: "stats" });
  if (json) printJson(stats);
  else print(renderStats(stats));
}

async function showDrops(path: string, json: boolean): Promise<void> {
  const { drops } = await ask(path, { command: "stats" });
  if (json) printJson(drops);
  else print(renderDrops(drops));
}

function addQuery(program: Command, rooms: Rooms, name: string, about: string, show: Show): void {
  addAskOptions(program.command(name).description(about))
    .option("--json", "one JSON document on standard output")
    .action(action(async (o: QueryOptions) => show(await socketOf(o, rooms), o.json ?? false)));
}

export const addQueries: AddCommand = (program, rooms) => {
  addQuery(program, rooms, "flows", "the connections of a running process", showFlows);
  addQuery(
    program,
    rooms,
    "services",
    "the services of a running process; * keeps its flows only",
    showServices,
  );
  addQuery(program, rooms, "stats", "counters of a running process", showStats);
  addQuery(program, rooms, "drops", "what a running process dropped, by name", showDrops);
};
