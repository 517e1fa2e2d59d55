#!/usr/bin/env node
// Runs the compiled command line, from any directory. Plain JavaScript: npm links it before a build.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const built = new URL("../build/js/src/main.js", import.meta.url);
if (existsSync(built)) {
  const { main } = await import(built.href);
  await main(process.argv.slice(2));
} else {
  const root = fileURLToPath(new URL("..", import.meta.url));
  console.error(`nodeplane is not built: run scripts/setup.sh and npm run build in ${root}`);
  process.exitCode = 1;
}
