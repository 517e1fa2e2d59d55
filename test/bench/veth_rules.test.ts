// The rules that bench veth gives the kernel.
import t from "tap";
import { makeRandom } from "../../bench/ratio.js";
import { iptables, nftables } from "../../bench/veth_rules.js";
import { allServices } from "../../bench/veth_services.js";

t.test("rules are kube-proxy's", async (t) => {
  const services = allServices(1200);
  t.equal(services.length, 1202);
  const pieces = nftables(services);
  t.equal(pieces.length, 4, "a head and pieces of 500");
  t.match(
    pieces.join("\n"),
    /chain ip kube-proxy (service-\S+bench\/web\/tcp\/p)\nadd rule ip kube-proxy \1 numgen random mod 5 vmap \{ 0 : goto endpoint-/,
  );
  const lines = iptables(services).split("\n");
  const front = lines.filter((l) => l.startsWith("-A KUBE-SERVICES "));
  t.equal(front.length, 1202);
  t.match(front[600], /-d 10\.112\.0\.1\/32 -p tcp .*--dport 80 -j KUBE-SVC-/, "in the midst");
  t.equal(lines.filter((l) => l.includes("--probability 0.2000000000")).length, 1201);
  // Chosen in turn with these chances, each of five endpoints gets a fifth.
  const chances = lines.flatMap((l) => /bench\/web.*--probability (\S+)/.exec(l)?.[1] ?? []);
  const random = makeRandom(7);
  const hits = [0, 0, 0, 0, 0];
  for (let i = 0; i < 50_000; i++) {
    const at = chances.findIndex((c) => random() < Number(c));
    hits[at < 0 ? 4 : at] = (hits[at < 0 ? 4 : at] as number) + 1;
  }
  for (const n of hits) t.ok(Math.abs(n - 10_000) < 500, String(hits));
});
