// The example of the README runs as it stands.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";

const example = fileURLToPath(new URL("../../examples/gateway.js", import.meta.url));

t.test("examples/gateway.ts", async (t) => {
  const said = execFileSync(process.execPath, [example], { timeout: 500_000 }).toString();
  t.match(said, /two endpoints: \{ '10\.1\.0\.1[12]': \d+, '10\.1\.0\.1[12]': \d+ \}/);
  t.match(said, /add endpoint example\/dns:53 10\.1\.0\.13:5353/);
  t.match(said, /remove endpoint example\/dns:53 10\.1\.0\.11:5353/);
  t.match(said, /200 packets in, 200 out, drops \{\}/);
  t.match(said, /200 flows/);
});
