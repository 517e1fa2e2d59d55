// Command lines, one after another in one process, for judges that have hundreds: to start nodeplane
// for each takes far longer than a replay. Each line on standard input is a JSON array of arguments,
// each answer one JSON line: the status and what was said.
import { createInterface } from "node:readline";
import { main } from "../../src/main.js";

const answer = process.stdout.write.bind(process.stdout);
let said = { out: "", err: "" };
for (const [stream, key] of [
  [process.stdout, "out"],
  [process.stderr, "err"],
] as const)
  stream.write = (chunk: string | Uint8Array): boolean => {
    said[key] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    return true;
  };

for await (const line of createInterface({ input: process.stdin })) {
  said = { out: "", err: "" };
  process.exitCode = 0;
  await main(JSON.parse(line) as string[]);
  answer(`${JSON.stringify({ status: process.exitCode, ...said })}\n`);
}
process.exitCode = 0;
