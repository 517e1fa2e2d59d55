// The command line as a user meets it: exit status, standard output, standard error.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { writePcap } from "../kit/pcap.js";
import { command } from "../kit/root.js";
import { one, service, slice } from "../sources/world.js";

function nodeplane(...args: string[]): { status: number | null; out: string; err: string } {
  // From elsewhere: the command runs from any directory.
  const run = spawnSync(process.execPath, [command, ...args], { encoding: "utf8", cwd: "/" });
  return { status: run.status, out: run.stdout, err: run.stderr };
}

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), "np-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const list = (...objects: unknown[]): string => JSON.stringify({ kind: "List", items: objects });
const endpoints = (...addresses: string[]): object =>
  slice(addresses.map((a) => ({ addresses: [a] })));

function writeConfig(dir: string): string {
  const file = join(dir, "np.yaml");
  writeFileSync(join(dir, "services.json"), list(service(one), endpoints("10.1.0.1", "10.1.0.2")));
  writeFileSync(
    file,
    `ports:
  - { name: p, driver: loop, interface: np-test-${process.pid}, addresses: [192.0.2.1/24] }
manifests: [services.json]
control: { socket: np.sock }
flows: { capacity: 1024 }
frames: { count: 1024 }
`,
  );
  return file;
}

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

/** Waits until standard error says it. */
function said(process: ChildProcess, words: RegExp): Promise<string> {
  let heard = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`never said ${words}: ${heard}`)), 20_000);
    const listen = (chunk: Buffer): void => {
      heard += chunk;
      if (!words.test(heard)) return;
      clearTimeout(timer);
      process.stderr?.off("data", listen);
      resolve(heard);
    };
    process.stderr?.on("data", listen);
  });
}

t.test("a whole life: run, ask, reload, a bad reload, plan, stop", async (t) => {
  const dir = folder(t);
  const file = writeConfig(dir);
  const socket = join(dir, "np.sock");
  const run = spawn(process.execPath, [command, "run", "-c", file], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.teardown(() => run.kill("SIGKILL"));
  await said(run, /"running"/);
  const ask = (...args: string[]): { endpoints: { address: string }[] }[] =>
    JSON.parse(nodeplane(...args, "-s", socket, "--json").out);
  const now = (): string[] | undefined => ask("services")[0]?.endpoints.map((e) => e.address);
  t.same(now(), ["10.1.0.1", "10.1.0.2"]);
  t.same(ask("flows"), []);
  t.same(ask("drops"), {});
  t.match(ask("stats"), { info: { running: true, generation: 1 }, ports: { p: { rxPackets: 0 } } });
  t.match(nodeplane("run", "-c", file), {
    status: 1,
    err: `nodeplane: ${socket}: another nodeplane listens there\n`,
  });

  let heard = said(run, /reloaded/);
  writeFileSync(join(dir, "services.json"), list(service(one), endpoints("10.1.0.2", "10.1.0.3")));
  await heard;
  t.same(now(), ["10.1.0.2", "10.1.0.3"], "by watching");

  heard = said(run, /has mistakes/);
  writeFileSync(join(dir, "services.json"), list(service({ ...one, clusterIP: "x" })));
  t.match(
    await heard,
    /services\.json:1:\d+: items\.0\.spec\.clusterIP: "x" is not an IP address\n/,
  );
  t.same(now(), ["10.1.0.2", "10.1.0.3"], "untouched");

  heard = said(run, /restart it/);
  writeFileSync(file, readFileSync(file, "utf8").replace("interface: np", "interface: other"));
  writeFileSync(join(dir, "services.json"), list(service(one), endpoints("10.1.0.3")));
  await heard;
  t.same(now(), ["10.1.0.2", "10.1.0.3"], "ports are fixed");
  t.match(nodeplane("plan", "-c", file), {
    status: 0,
    out: /~ port p: .*needs a restart.*\n- endpoint default\/web:80 10\.1\.0\.2:8080/,
  });

  heard = said(run, /reloaded/);
  writeFileSync(file, readFileSync(file, "utf8").replace("interface: other", "interface: np"));
  run.kill("SIGHUP");
  await heard;
  t.same(now(), ["10.1.0.3"]);

  const ended = new Promise((resolve) =>
    run.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  run.kill("SIGTERM");
  t.equal(await ended, 0);
  t.notOk(existsSync(socket), "nothing left behind");
});
