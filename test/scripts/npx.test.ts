// npm must never rebuild or delete by itself: a binding.gyp without `"gypfile": false` makes it run
// node-gyp, which empties build/.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { root } from "../kit/root.js";

t.test("npx nodeplane runs the checkout's command and leaves build/ alone", async (t) => {
  const module = join(root, "build/Release/nodeplane.node");
  const before = statSync(module);
  const said = execFileSync("npx", ["nodeplane", "--help"], { cwd: root, encoding: "utf8" });
  t.match(said, /^Usage: nodeplane /);
  const after = statSync(module);
  t.same([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);
});

t.test("package.json has nothing that npm would run at install", async (t) => {
  const { gypfile, scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  t.equal(gypfile, false);
  for (const hook of ["preinstall", "install", "postinstall", "prepare", "prebuild", "postbuild"])
    t.notOk(scripts[hook], hook);
});
