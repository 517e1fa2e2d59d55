// Laps in a process of its own, since kernels are chosen once per process:
// lap_child.js KERNEL FAMILY FLOWS, asked line by line for what PathLap.lap() takes (programs.ts).
import { createInterface } from "node:readline";
import { warmedLap, withLaps } from "./laps.js";
import type { BenchFamily } from "./model.js";

const [kernel = "", family, flows] = process.argv.slice(2);
process.env.NODEPLANE_KERNEL = kernel;

const setting = { family: Number(family) as BenchFamily, flows: Number(flows), services: 1 };
await withLaps(`bench-kernel-${process.pid}`, [setting], async ([open]) => {
  if (!open) return;
  process.stdout.write(`${open.dataplane.info().kernel}\n`);
  for await (const what of createInterface({ input: process.stdin }))
    process.stdout.write(`${warmedLap(open.lap, what as "corridor")}\n`);
});
