#!/usr/bin/env node
// Builds the addon: CMake through cmake-js, into build/cmake; the module goes to build/Release.
// `npm run build:native` and binding.gyp both call this. (node-gyp empties build/ before it does.)
// For another configuration: gyp-build.mjs FOLDER [option of cmake-js …]
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { resolve } = createRequire(import.meta.url);
const cmakeJs = join(dirname(resolve("cmake-js/package.json")), "bin/cmake-js");
const threads = String(availableParallelism());
const [out = "build/cmake", ...rest] = process.argv.slice(2);
const args = ["build", "--out", out, "--parallel", threads, ...rest];
const run = spawnSync(process.execPath, [cmakeJs, ...args], { cwd: root, stdio: "inherit" });
process.exit(run.status ?? 1);
