// The example of docs/memif.md runs as it stands.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";

const example = fileURLToPath(new URL("../../examples/memif_function.js", import.meta.url));

t.test("examples/memif_function.ts", { timeout: 600_000 }, async (t) => {
  const said = execFileSync(process.execPath, [example], { timeout: 500_000 }).toString();
  t.match(said, /port uplink: peer \S+ connected/);
  const [, one, other] =
    /servers asked: \{ '10\.2\.0\.1[12]': (\d+), '10\.2\.0\.1[12]': (\d+) \}/.exec(said) ?? [];
  t.equal(Number(one) + Number(other), 100);
  t.match(said, "100 answers from the service's address");
  t.match(said, /100 flows, one of them to .*10\.2\.0\.1[12]:5353.* of .*dns/);
});
