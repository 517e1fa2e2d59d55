#!/usr/bin/env node
// Builds the addon: CMake through cmake-js, into build/cmake; the module goes to build/Release.
// `npm run build:native` and binding.gyp both call this. (node-gyp empties build/ before it does.)
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { resolve } = createRequire(import.meta.url);
const cmakeJs = join(dirname(resolve("cmake-js/package.json")), "bin/cmake-js");
const threads = String(availableParallelism());
const args = ["build", "--out", "build/cmake", "--parallel", threads, ...process.argv.slice(2)];
const run = spawnSync(process.execPath, [cmakeJs, ...args], { cwd: root, stdio: "inherit" });
process.exit(run.status ?? 1);
