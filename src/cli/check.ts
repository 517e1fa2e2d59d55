// nodeplane check: validates a configuration and its manifests; touches nothing.
import {
  type AddCommand,
  action,
  complainOf,
  exitFailed,
  print,
  printJson,
  type Rooms,
} from "./context.js";

async function check(rooms: Rooms, options: { config: string; json?: boolean }): Promise<void> {
  const loaded = await rooms.loadFile(options.config);
  if (!loaded.ok) {
    if (options.json) printJson({ ok: false, problems: loaded.error });
    complainOf(loaded.error);
    process.exitCode = exitFailed;
    return;
  }
  const { ports, routes, services } = loaded.value.model;
  const endpoints = services.reduce((n, s) => n + s.endpoints.length, 0);
  const counts = {
    ports: ports.length,
    routes: routes.length,
    services: services.length,
    endpoints,
  };
  const { notices } = loaded.value;
  if (options.json) return printJson({ ok: true, ...counts, notices });
  for (const notice of notices) print(`note: ${notice}`);
  const words = Object.entries(counts).map(([what, n]) => `${n} ${what}`);
  print(`${options.config}: ok: ${words.join(", ")}`);
}

export const addCheck: AddCommand = (program, rooms) => {
  program
    .command("check")
    .description("validate a configuration; mistakes as FILE:LINE:COL: path: message")
    .requiredOption("-c, --config <file>", "configuration")
    .option("--json", "one JSON document on standard output")
    .action(action((options: { config: string; json?: boolean }) => check(rooms, options)));
};
