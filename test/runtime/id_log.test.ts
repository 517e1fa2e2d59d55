// The directory of ids beside the flow file.
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import t, { type Test } from "tap";
import type { Naming } from "../../src/compile/ids.js";
import { messageOf } from "../../src/kit/error.js";
import { compactBytesMin, IdLog } from "../../src/runtime/id_log.js";

const flows = "00112233445566aa";

const folder = (t: Test): string => {
  const dir = mkdtempSync("/tmp/nodeplane-ids-");
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "np.flows.ids");
};
const service = (id: number, key: string): Naming => ({ kind: "service", key, id });
const endpoint = (id: number, of: string, place: string): Naming => ({
  kind: "endpoint",
  key: `${of} ${place}`,
  id,
});
const web = "default/web:http/TCP/10.96.0.10:80";
const dns = "kube-system/dns:/UDP/fd00:96::10:53";
const byId = (all: readonly Naming[] = []): Naming[] =>
  [...all].sort((a, b) => a.kind.localeCompare(b.kind) || a.id - b.id);

const isRefused = (path: string): boolean => {
  try {
    reopen(path);
    return false;
  } catch (error) {
    return /is no directory of ids, and is left alone$/.test(messageOf(error));
  }
};
/** What the next process finds. */
const reopen = (path: string, of = flows) => {
  const { log, known } = IdLog.open(path, of);
  log.close();
  return known;
};

t.test("what was written is there, with the generation it was named in", async (t) => {
  const path = folder(t);
  const { log, known } = IdLog.open(path, flows);
  t.equal(known, null, "a new one");
  const first: Naming[] = [
    { kind: "network", key: "blue", id: 1 },
    service(0, web),
    endpoint(0, web, "10.1.0.1:8080"),
    endpoint(1, web, "10.1.0.2:8080"),
    service(1, dns),
    endpoint(2, dns, "[fd00:1::2]:53"),
  ];
  log.write(1, first);
  const second = [endpoint(4, web, "10.1.0.3:8080"), service(7, "odd\nname %0A%25")];
  log.write(5, second);
  log.close();
  const found = reopen(path);
  t.same(byId(found?.namings), byId([...first, ...second]));
  t.same([...(found?.services ?? [])], [1, 1, 0, 0, 0, 0, 0, 5]);
  t.same([...(found?.endpoints ?? [])], [1, 1, 1, 0, 5]);
  t.same(reopen(path), found, "rewritten without change");
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(reopen(path, "ffffffffffffffff"), null, "another flow file's");
  t.equal(reopen(path), null);
});

t.test("what was given back is gone with the next lot; its id may stand for another", async (t) => {
  const path = folder(t);
  const { log } = IdLog.open(path, flows);
  log.write(1, [service(0, web), endpoint(0, web, "10.1.0.1:80"), endpoint(1, web, "10.1.0.2:80")]);
  log.free([endpoint(1, web, "10.1.0.2:80")]);
  t.equal(reopen(path)?.namings.length, 3, "not before");
  log.close();

  const next = IdLog.open(path, flows).log;
  next.free([endpoint(1, web, "10.1.0.2:80")]);
  next.write(2, [endpoint(1, web, "10.1.0.9:80")]);
  next.close();
  const found = reopen(path);
  t.same(
    found?.namings.filter((n) => n.kind === "endpoint").map((n) => n.key),
    [`${web} 10.1.0.1:80`, `${web} 10.1.0.9:80`],
  );
  t.same([...(found?.endpoints ?? [])], [1, 2]);
});

t.test("a publish that failed leaves a name that the next one overrides", async (t) => {
  const path = folder(t);
  const { log } = IdLog.open(path, flows);
  log.write(1, [service(0, web)]);
  log.write(2, [service(1, "failed")]);
  log.write(2, [service(1, dns), service(2, "failed")]);
  log.close();
  t.same(byId(reopen(path)?.namings), [service(0, web), service(1, dns), service(2, "failed")]);
});

t.test("a lot that was cut short or damaged, and what is behind it, does not count", async (t) => {
  const path = folder(t);
  const { log } = IdLog.open(path, flows);
  log.write(1, [service(0, web)]);
  const whole = statSync(path).size;
  log.write(2, [service(1, dns)]);
  log.close();
  const bytes = readFileSync(path);
  for (let end = whole; end < bytes.length; end++) {
    writeFileSync(path, bytes);
    truncateSync(path, end);
    const found = reopen(path);
    if (found?.namings.length !== 1) t.fail(`cut at ${end}`);
  }
  for (let at = 0; at < bytes.length; at++) {
    const bad = Buffer.from(bytes);
    bad[at] = (bad[at] ?? 0) ^ 1;
    writeFileSync(path, bad);
    if (at < "nodeplane-ids ".length) {
      if (!isRefused(path)) t.fail(`byte ${at}: taken for its own`);
      continue;
    }
    for (const { key } of reopen(path)?.namings ?? [])
      if (key !== web && key !== dns) t.fail(`byte ${at}: ${key}`);
  }
  writeFileSync(path, bytes);
  appendFileSync(path, "s 9 torn");
  const next = IdLog.open(path, flows).log;
  next.write(3, [service(2, "after")]);
  next.close();
  t.same(byId(reopen(path)?.namings), [service(0, web), service(1, dns), service(2, "after")]);
});

t.test("a lot whose sum is right may still say what no lot of ours does", async (t) => {
  const path = folder(t);
  const head = `nodeplane-ids 1 ${flows}\n`;
  const lot = (body: string, generation = "1"): string =>
    `${body}= ${generation} ${crc32(body).toString(16)}\n`;
  const first = lot(`s 0 ${web}\n`);
  const found = (text: string) => {
    writeFileSync(path, head + first + text, { mode: 0o600 });
    return reopen(path)?.namings;
  };
  t.same(found(lot("s 1048575 last\n")), [service(0, web), service(1048575, "last")]);
  for (const line of [
    ...["s 1048576 above", "e 8388608 10.1.0.1:80", "n 65536 above", "z 16 above", "n 0 default"],
    ...["z 0 default", "s 4294967295 above", "s -1 below", "s 1.5 half", "s  none", "s x none"],
    ...["-s 9999999", "-n 1", "q 1 what", "__proto__ 1 what", "s 1e3 many", "s 99999999999 many"],
  ])
    t.same(found(lot(`s 1 ${dns}\n${line}\n`)), [service(0, web)], line);
  for (const generation of ["", "-1", "x", "4294967296"])
    t.same(found(lot(`s 1 ${dns}\n`, generation)), [service(0, web)], `generation ${generation}`);
});

t.test("it is written in proportion to the change, and shrinks again", async (t) => {
  const path = folder(t);
  const { log } = IdLog.open(path, flows);
  const many = Array.from({ length: 2000 }, (_, i) =>
    endpoint(i, web, `10.1.${i >> 8}.${i & 255}:80`),
  );
  log.write(1, [service(0, web), ...many]);
  const before = statSync(path).size;
  log.write(2, [service(1, dns)]);
  t.ok(statSync(path).size - before < 100);
  let longest = 0;
  for (let g = 3; longest <= compactBytesMin && g < 1000; g++) {
    log.free(many);
    log.write(g, many);
    longest = Math.max(longest, statSync(path).size);
  }
  log.free([]);
  log.write(1000, []);
  t.ok(statSync(path).size < 2 * before, "compacted");
  log.close();
  t.equal(reopen(path)?.namings.length, 2002);
});

t.test("it is its owner's alone", async (t) => {
  const path = folder(t);
  symlinkSync("/etc/passwd", path);
  t.throws(() => IdLog.open(path, flows), /ELOOP/);
  rmSync(path);
  writeFileSync(path, "");
  chmodSync(path, 0o644);
  t.throws(() => IdLog.open(path, flows), /others may open it/);
  chmodSync(path, 0o600);
  linkSync(path, `${path}.second`);
  t.throws(() => IdLog.open(path, flows), /no file with one name/);
  rmSync(`${path}.second`);
  writeFileSync(path, "precious\n");
  t.throws(() => IdLog.open(path, flows), /ids: is no directory of ids, and is left alone$/);
  t.equal(readFileSync(path, "utf8"), "precious\n");
  writeFileSync(path, "");
  const { log } = IdLog.open(path, flows);
  log.remove();
  t.notOk(existsSync(path));
});
