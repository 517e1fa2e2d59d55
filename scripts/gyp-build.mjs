#!/usr/bin/env node
// What binding.gyp runs: CMake through cmake-js, as `npm run build:native` does. node-gyp has
// emptied build/ before this, so everything is made anew.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);
const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js");
const run = spawnSync(process.execPath, [cmakeJs, "build", "--out", "build/cmake"], {
  cwd: root,
  stdio: "inherit",
});
process.exit(run.status ?? 1);
