// nodeplane doctor: what this machine offers.
import { messageOf } from "../kit/error.js";
import { table } from "../observe/table.js";
import { Dataplane } from "../runtime/dataplane.js";
import { type DsaFact, examine, type Fact } from "../sys/doctor.js";
import type { DsaQueue } from "../sys/dsa.js";
import { type AddCommand, action, print, printJson, type Rooms } from "./context.js";

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
  const facts = [...examine(), await nativeFact(rooms)];
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
