// Wires the rooms for the command line.
import { Command, CommanderError } from "commander";
import { addBench } from "./cli/bench.js";
import { addCheck } from "./cli/check.js";
import { exitOk, exitUsage, type Rooms } from "./cli/context.js";
import { addDemo } from "./cli/demo.js";
import { addDoctor } from "./cli/doctor.js";
import { addMemifEcho } from "./cli/memif_echo.js";
import { addPlan } from "./cli/plan.js";
import { addQueries } from "./cli/query.js";
import { addReplay } from "./cli/replay.js";
import { addRun } from "./cli/run.js";
import { addTop } from "./cli/top.js";
import { loadFile, loadObject } from "./sources/file.js";
import { watchFiles } from "./sources/watch.js";

const commands = [
  addRun,
  addCheck,
  addPlan,
  addReplay,
  addQueries,
  addTop,
  addDoctor,
  addDemo,
  addMemifEcho,
  addBench,
];

export async function main(args: readonly string[]): Promise<void> {
  const rooms: Rooms = { loadFile, loadObject, watchFiles };
  const program = new Command("nodeplane")
    .description(
      "A userspace dataplane: service load balancing, NAT and connection tracking over AF_XDP",
    )
    .exitOverride()
    .showHelpAfterError("(--help shows the options)");
  for (const add of commands) add(program, rooms);
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (caught) {
    if (!(caught instanceof CommanderError)) throw caught;
    // Help that was asked for is a success; all else that commander says is wrong usage.
    process.exitCode = caught.exitCode === 0 ? exitOk : exitUsage;
  }
}
