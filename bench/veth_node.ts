// The node of benchmarks over veth, a program of its own inside the node's namespace:
//   node veth_node.js CONFIG corridor|forward [SERVICES]
// SERVICES: a file with more services, as the model has them. Answers each line on standard input
// with one JSON line; ends when standard input does.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { InvalidInput } from "../src/kit/error.js";
import type { Service } from "../src/model/model.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { loadFile } from "../src/sources/file.js";

export interface NodeFacts {
  readonly pid: number;
  /** What the driver says of each port. */
  readonly ports: readonly string[];
}

const [config = "", what = "corridor", more] = process.argv.slice(2);
const loaded = await loadFile(config);
if (!loaded.ok) throw new InvalidInput(loaded.error);
const { model } = loaded.value;
const added = more ? (JSON.parse(readFileSync(more, "utf8")) as Service[]) : [];
const services = [...model.services, ...added];
const dataplane = Dataplane.open({ ...model, services }, { bridge: what === "forward" });
dataplane.start();
for await (const _ of createInterface({ input: process.stdin })) {
  const facts: NodeFacts = {
    pid: process.pid,
    ports: dataplane.ports.map((p) => p.description),
  };
  process.stdout.write(`${JSON.stringify(facts)}\n`);
}
dataplane.close();
