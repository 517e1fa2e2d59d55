// Replays judged from outside: every *_test.py here speaks TAP.
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import t from "tap";
import { root } from "../kit/root.js";

// Debian's python, which has python3-scapy; another one may stand before it on the path.
const python = "/usr/bin/python3";
const folder = join(root, "test/replay");
t.jobs = availableParallelism();
for (const file of readdirSync(folder)
  .filter((name) => name.endsWith("_test.py"))
  .sort()) {
  t.spawn(python, ["-B", join(folder, file)], { buffered: true, name: file });
}
