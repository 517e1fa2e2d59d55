// Wires the rooms for the command line. Only the command that was asked for is loaded: all of them
// together take most of a short command's time.
import { Command, CommanderError } from "commander";
import { type AddCommand, exitOk, exitUsage, type Rooms } from "./cli/context.js";
import { watchFiles } from "./sources/watch.js";

const commands: [names: readonly string[], load: () => Promise<AddCommand>][] = [
  [["run"], async () => (await import("./cli/run.js")).addRun],
  [["check"], async () => (await import("./cli/check.js")).addCheck],
  [["plan"], async () => (await import("./cli/plan.js")).addPlan],
  [["replay"], async () => (await import("./cli/replay.js")).addReplay],
  [
    ["flows", "services", "stats", "drops"],
    async () => (await import("./cli/query.js")).addQueries,
  ],
  [["top"], async () => (await import("./cli/top.js")).addTop],
  [["doctor"], async () => (await import("./cli/doctor.js")).addDoctor],
  [["demo"], async () => (await import("./cli/demo.js")).addDemo],
  [["memif-echo"], async () => (await import("./cli/memif_echo.js")).addMemifEcho],
  [["bench"], async () => (await import("./cli/bench.js")).addBench],
];

const rooms: Rooms = {
  loadFile: async (file) => (await import("./sources/file.js")).loadFile(file),
  loadObject: async (config) => (await import("./sources/file.js")).loadObject(config),
  watchFiles,
};

export async function main(args: readonly string[]): Promise<void> {
  const program = new Command("nodeplane")
    .description(
      "A userspace dataplane: service load balancing, NAT and connection tracking over AF_XDP",
    )
    .exitOverride()
    .showHelpAfterError("(--help shows the options)");
  // What is no command's name is help, or wrong: both need all of them.
  const asked = commands.filter(([names]) => names.includes(args[0] ?? ""));
  for (const [, load] of asked.length > 0 ? asked : commands) (await load())(program, rooms);
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (caught) {
    if (!(caught instanceof CommanderError)) throw caught;
    // Help that was asked for is a success; all else that commander says is wrong usage.
    process.exitCode = caught.exitCode === 0 ? exitOk : exitUsage;
  }
}
