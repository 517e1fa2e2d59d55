// The command line as a user meets it: exit status, standard output, standard error.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { writeWorld } from "../kit/dsa.js";
import { writePcap } from "../kit/pcap.js";
import { command } from "../kit/root.js";
import { folder, nodeplane, writeConfig } from "./kit.js";

t.test("help and wrong usage", async (t) => {
  const commands = [
    "run",
    "check",
    "plan",
    "replay",
    "flows",
    "services",
    "stats",
    "drops",
    "top",
    "doctor",
    "memif-echo",
  ];
  const help = nodeplane("--help");
  t.equal(help.status, 0);
  for (const name of commands) t.match(help.out, new RegExp(`^  ${name}\\b`, "m"));
  for (const name of commands) {
    const { status, out, err } = nodeplane(name, "--help");
    t.match({ status, err }, { status: 0, err: "" }, name);
    t.match(out, `Usage: nodeplane ${name}`);
  }
  for (const wrong of [
    [],
    ["frob"],
    ["check"],
    ["check", "-c"],
    ["flows", "--frob"],
    ["replay", "-c", "x", "--in", "y"],
    ["top", "-i", "0"],
  ]) {
    const { status, out } = nodeplane(...wrong);
    t.match({ status, out }, { status: 2, out: "" }, JSON.stringify(wrong));
  }
});

t.test("check", async (t) => {
  const dir = folder(t);
  const file = writeConfig(dir);
  t.match(nodeplane("check", "-c", file), {
    status: 0,
    out: `${file}: ok: 1 ports, 0 routes, 1 services, 2 endpoints\n`,
    err: "",
  });
  t.match(JSON.parse(nodeplane("check", "-c", file, "--json").out), { ok: true, services: 1 });
  writeFileSync(join(dir, "bad.yaml"), "ports: []\nx: 1\ny: 2\n");
  const bad = nodeplane("check", "-c", join(dir, "bad.yaml"));
  t.same(bad, {
    status: 1,
    out: "",
    err: `${dir}/bad.yaml:2:1: x: unknown key\n${dir}/bad.yaml:3:1: y: unknown key\n`,
  });
  t.match(JSON.parse(nodeplane("check", "-c", join(dir, "bad.yaml"), "--json").out), {
    ok: false,
    problems: [{ line: 2 }, { line: 3 }],
  });
});

t.test("asking nobody", async (t) => {
  const path = join(folder(t), "none.sock");
  for (const name of ["flows", "services", "stats", "drops", "top"]) {
    t.same(
      nodeplane(name, "-s", path),
      { status: 1, out: "", err: `nodeplane: ${path}: no nodeplane listens there\n` },
      name,
    );
  }
});

t.test("plan without a process says what a start would make", async (t) => {
  const { status, out, err } = nodeplane("plan", "-c", writeConfig(folder(t)));
  t.equal(status, 0);
  t.match(out, /^\+ port p: loop on np-test-\d+ \(needs a restart\)\n\+ service default\/web:80: /);
  t.match(err, "no nodeplane is running");
});

t.test("replay: the report, and mistakes in its files", async (t) => {
  const dir = folder(t);
  const file = writeConfig(dir);
  const capture = join(dir, "in.pcap");
  writeFileSync(capture, writePcap([{ at: 1, frame: new Uint8Array(5) }]));
  const { status, out } = nodeplane("replay", "-c", file, "--in", `p=${capture}`, "--json");
  t.equal(status, 0);
  t.match(JSON.parse(out), {
    packets: { p: { in: 1, out: 0 } },
    drops: { short_frame: 1 },
    consumed: 0,
    originated: 0,
    flows: [],
  });
  t.match(nodeplane("replay", "-c", file, "--in", `q=${capture}`), {
    status: 1,
    err: "nodeplane: --in q: no port has that name\n",
  });
  t.match(nodeplane("replay", "-c", file, "--in", `p=${dir}/none.pcap`), {
    status: 1,
    err: /^nodeplane: port p: .*none\.pcap/,
  });
});

t.test("doctor", async (t) => {
  const { status, out } = nodeplane("doctor", "--json");
  t.equal(status, 0);
  const facts = JSON.parse(out) as { name: string }[];
  for (const name of ["kernel", "AF_XDP", "huge pages", "DPDK", "DSA", "native module"])
    t.ok(
      facts.some((f) => f.name === name),
      name,
    );
});

t.test("doctor lists DSA work queues", async (t) => {
  const dir = folder(t);
  const roots = { NODEPLANE_DSA_SYSFS: join(dir, "sys"), NODEPLANE_DSA_DEV: join(dir, "dev") };
  writeWorld(roots.NODEPLANE_DSA_SYSFS, roots.NODEPLANE_DSA_DEV);
  const run = (...args: string[]): string =>
    spawnSync(process.execPath, [command, "doctor", ...args], {
      encoding: "utf8",
      env: { ...process.env, ...roots },
    }).stdout;
  const facts = JSON.parse(run("--json")) as { name: string; dsa?: { name: string }[] }[];
  const fact = facts.find((f) => f.name === "DSA");
  t.match(fact?.dsa?.[2], { name: "wq0.2", type: "kernel", usable: false, why: /^type kernel/ });
  const lines = run().split("\n");
  t.match(
    lines.find((line) => line.startsWith("wq2.0")),
    /^wq2\.0 +not usable +dedicated user, enabled, 32 entries, .* dsa2 is not enabled/,
  );
  t.equal(lines.filter((line) => /^wq\d/.test(line)).length, 9, "one line each");
});

t.test("check: mistakes of memif ports, with their places", async (t) => {
  const dir = folder(t);
  const file = join(dir, "memif.yaml");
  writeFileSync(file, 'ports:\n  - { name: a, driver: memif, socket: "@a", zeroCopy: true }\n');
  t.same(nodeplane("check", "-c", file), {
    status: 1,
    out: "",
    err: `${file}:2:55: ports.0.zeroCopy: needs role client: only a client lends its memory\n`,
  });
  writeFileSync(file, "ports:\n  - { name: a, driver: memif, socket: run/a.sock, mode: ip }\n");
  t.match(nodeplane("check", "-c", file), { status: 0, err: "" });
});

t.test("replay: a memif port becomes a capture", async (t) => {
  const dir = folder(t);
  const file = join(dir, "memif.yaml");
  const capture = join(dir, "in.pcap");
  writeFileSync(capture, writePcap([{ at: 1, frame: new Uint8Array(5) }]));
  const port = 'name: p, driver: memif, socket: "@p", role: client, zeroCopy: true, queues: 2';
  writeFileSync(
    file,
    `ports:\n  - { ${port}, mtu: 9000, mac: 02:00:00:00:00:05 }\ncopy: { engine: dsa }\n`,
  );
  const { status, out } = nodeplane("replay", "-c", file, "--in", `p=${capture}`, "--json");
  t.equal(status, 0);
  t.match(JSON.parse(out), { packets: { p: { in: 1, out: 0 } }, drops: { short_frame: 1 } });
});
