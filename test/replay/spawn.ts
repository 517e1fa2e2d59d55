// Replays judged from outside: every *_test.py here speaks TAP, each run by a test of its name.
import { join } from "node:path";
import t from "tap";
import { root } from "../kit/root.js";

// Debian's python, which has python3-scapy; another one may stand before it on the path.
const python = "/usr/bin/python3";

export function spawnJudge(name: string): void {
  t.spawn(python, ["-B", join(root, "test/replay", `${name}_test.py`)], { name });
}
