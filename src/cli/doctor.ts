// nodeplane doctor: what this machine offers.
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../kit/error.js";
import { table } from "../observe/table.js";
import { Dataplane } from "../runtime/dataplane.js";
import { type DsaFact, examine, type Fact } from "../sys/doctor.js";
import type { DsaQueue } from "../sys/dsa.js";
import { type AddCommand, action, print, printJson, type Rooms } from "./context.js";
import { defaultFile } from "./flow_file.js";
import { defaultSocket } from "./socket.js";

/** Small enough for any machine: it only asks the native side which kernels it chose. */
const leastConfig = { ports: [], frames: { count: 256 }, flows: { capacity: 1024 } };

async function nativeFact(rooms: Rooms): Promise<Fact> {
  const name = "native module";
  try {
    const loaded = await rooms.loadObject(leastConfig);
    if (!loaded.ok) throw new Error("its configuration is refused");
    const dataplane = Dataplane.open(loaded.value.model, { offline: true });
    const { kernel } = dataplane.info();
    dataplane.close();
    return {
      name,
      ok: true,
      value: `loads, kernels ${kernel}`,
      advice: "NODEPLANE_KERNEL chooses others",
    };
  } catch (caught) {
    return { name, ok: false, value: messageOf(caught), advice: "npm run build" };
  }
}

/** Where connections would outlive `nodeplane run`. */
function flowFact(): Fact {
  const name = "flow file";
  try {
    const file = defaultFile(defaultSocket("default"));
    const { bavail, bsize } = statfsSync(dirname(dirname(file)));
    const free = Math.floor((bavail * bsize) / 2 ** 20);
    const value = `${file}, ${free} MB free for 192 bytes per IPv4 and 320 per IPv6 connection`;
    return { name, ok: true, value, advice: "as root on 2 MiB pages when enough are reserved" };
  } catch (caught) {
    return {
      name,
      ok: false,
      value: messageOf(caught),
      advice: "flows.file, or flows.survive: never",
    };
  }
}

const marks = new Map([
  [true, "ok"],
  [false, "missing"],
  [null, "-"],
]);

const queueCells = (q: DsaQueue): string[] => [
  q.name,
  q.usable ? "usable" : "not usable",
  `${q.mode} ${q.type}, ${q.state}, ${q.size} entries, batches of ${q.batchMax}, node ${q.numaNode}`,
  q.why,
];

const queuesOf = (facts: readonly (Fact | DsaFact)[]): DsaQueue[] =>
  facts.flatMap((fact) => ("dsa" in fact ? fact.dsa : []));

async function doctor(rooms: Rooms, options: { json?: boolean }): Promise<void> {
  const facts = [...examine(), flowFact(), await nativeFact(rooms)];
  if (options.json) printJson(facts);
  else {
    const rows = facts.map((f) => [marks.get(f.ok) ?? "", f.name, f.value, f.advice]);
    print(table([], rows));
    const queues = queuesOf(facts);
    if (queues.length > 0) print(`\n${table([], queues.map(queueCells))}`);
  }
}

export const addDoctor: AddCommand = (program, rooms) => {
  program
    .command("doctor")
    .description("what this machine offers: kernel, AF_XDP, pages, DPDK, DSA")
    .option("--json", "one JSON document on standard output")
    .action(action((options: { json?: boolean }) => doctor(rooms, options)));
};
