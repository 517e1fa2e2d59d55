// Debian's testpmd (net_memif) between two nodeplanes: client -> testpmd's server -> io -> testpmd's
// client -> server, and back. Each is a process of its own.
import { readFileSync, rmSync } from "node:fs";
import t, { type Test } from "tap";
import { withPages } from "../kit/pages.js";
import { both, bounce, folder, harm, noHarm, Peer, patient, sleep, type Traffic } from "./kit.js";
import { Testpmd, type TestpmdOptions, type TestpmdPort } from "./testpmd.js";

interface Case extends Traffic, TestpmdOptions {
  zeroCopy?: boolean;
  /** nodeplane's client lends its frames. */
  lends?: boolean;
  sockets?: [string, string];
  /** testpmd's buffers, bytes. */
  bufferSize?: number;
}

async function chain(t: Test, what: Case): Promise<void> {
  const at = folder(t);
  const [near, far] = what.sockets ?? [`${at}/near.sock`, `${at}/far.sock`];
  const { count = 6000, queues = 1, bufferSize = 2048 } = what;
  const wall = await Peer.start(t, bounce({ role: "server", socket: far, queues }));
  const port = { role: "client", socket: near, queues, zeroCopy: what.lends ?? false } as const;
  const testpmd = await Testpmd.start(
    [
      { role: "server", socket: near, bufferSize },
      { role: "client", socket: far, bufferSize, zeroCopy: what.zeroCopy ?? false },
    ],
    what,
  );
  t.teardown(() => testpmd.kill());
  await testpmd.ready([1]);
  const load = await Peer.start(t, both(port, { ...what, count }));
  const end = await load.finished();
  t.match(end, { ...noHarm, sent: count, good: count, lost: 0, lostInDriver: 0 });
  await testpmd.ask("stop");
  t.match(await testpmd.stats(0), { received: count, sent: count });
  t.match(await load.stop(), { balanced: true });
  t.match(await wall.stop(), { balanced: true, received: count, answered: count, dropped: 0 });
}

const cases: [string, Case][] = [
  ["64 B", { bytes: 64 }],
  ["1,500 B", { bytes: 1500 }],
  ["9,000 B, chains", { bytes: 9000, window: 64, count: 3000 }],
  ["64 B, zero-copy client", { bytes: 64, zeroCopy: true }],
  ["1,500 B, zero-copy client", { bytes: 1500, zeroCopy: true, lends: true }],
  ["9,000 B, zero-copy client", { bytes: 9000, window: 64, count: 3000, zeroCopy: true }],
  ["9,000 B out of lent frames", { bytes: 9000, window: 64, count: 3000, lends: true }],
  ["two rings each way", { bytes: 200, queues: 2, flows: 16 }],
  ["1,500 B in buffers of 512", { bytes: 1500, window: 64, bufferSize: 512 }],
  [
    "abstract sockets",
    { bytes: 300, sockets: [`@np-near-${process.pid}`, `@np-far-${process.pid}`] },
  ],
];
for (const [name, what] of cases) t.test(name, patient, (t) => chain(t, what));

const hugePages = 48;
const freePages = (): number =>
  Number(/HugePages_Free:\s*(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
t.test("1,500 B, zero-copy client on 2 MiB pages", patient, (t) =>
  withPages(hugePages * 2 ** 21, async (isLast) => {
    const free = freePages();
    const suffices = free >= hugePages;
    const skip = !suffices && `${free} of ${hugePages} pages of 2 MiB can be had`;
    const what = { bytes: 1500, zeroCopy: true, hugePages: true };
    if (suffices || isLast) await t.test("chain", { skip }, (t) => chain(t, what));
    return suffices || isLast;
  }),
);

t.test("testpmd is first", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  const testpmd = await Testpmd.start([{ role: "server", socket }]);
  t.teardown(() => testpmd.kill());
  await testpmd.forward();
  const load = await Peer.start(t, both({ role: "client", socket }, { count: 5000 }));
  t.match(await load.finished(), { ...noHarm, good: 5000, lost: 0 });
  t.match(await load.stop(), { balanced: true });
});

t.test("testpmd's client is first, and tries again when told", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  const testpmd = await Testpmd.start([{ role: "client", socket }], { lonely: true });
  t.teardown(() => testpmd.kill());
  const load = await Peer.start(t, both({ role: "server", socket }, { count: 5000 }));
  await testpmd.ask("port start 0");
  await testpmd.forward();
  t.match(await load.finished(), { ...noHarm, good: 5000, lost: 0 });
  t.match(await load.stop(), { balanced: true });
});

t.test("secrets", patient, async (t) => {
  const at = folder(t);
  const socket = `${at}/ours.sock`;
  const load = await Peer.start(
    t,
    both({ role: "server", socket, secret: "sesame" }, { count: 2000 }),
  );
  for (const [secret, why] of [
    ["barley", /incorrect secret/],
    [undefined, /secret required/],
  ] as const) {
    const port = { role: "client", socket, ...(secret && { secret }) } as const;
    const stranger = await Testpmd.start([port]);
    await load.hears(why);
    t.match(await load.port(), { connects: 0, violations: 0 });
    await stranger.kill();
  }
  const friend = await Testpmd.start([{ role: "client", socket, secret: "sesame" }]);
  await friend.forward();
  t.match(await load.finished(), { ...noHarm, good: 2000, lost: 0 });
  await friend.kill();

  const theirs = `${at}/theirs.sock`;
  const server = await Testpmd.start([{ role: "server", socket: theirs, secret: "sesame" }]);
  t.teardown(() => server.kill());
  await server.forward();
  const wrong = await Peer.start(t, both({ role: "client", socket: theirs, secret: "oats" }, {}));
  await wrong.hears(/no connection to .*secret/i);
  t.match(await wrong.stats(), { sent: 0, received: 0 });
  await wrong.stop();
  const port = { role: "client", socket: theirs, secret: "sesame" } as const;
  const right = await Peer.start(t, both(port, { count: 2000 }));
  t.match(await right.finished(), { ...noHarm, good: 2000, lost: 0 });
});

t.test("several ids on one socket", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  // Out by one id, back by the other; testpmd stands between two of ours.
  const port = (id: number) => ({ role: "server", socket, id }) as const;
  const load = await Peer.start(t, both(port(7), { bytes: 500, count: 5000 }, port(3)));
  const testpmd = await Testpmd.start([
    { role: "client", socket, id: 3 },
    { role: "client", socket, id: 7 },
  ]);
  t.teardown(() => testpmd.kill());
  await testpmd.connected([0, 1]);
  await testpmd.forward();
  t.match(await load.finished(), { ...noHarm, good: 5000, lost: 0 });
  await testpmd.ask("stop");
  t.match(await testpmd.stats(0), { received: 0, sent: 5000 });
  await testpmd.quit();
  const end = await load.stop();
  t.match(end, { balanced: true });
});

/** What one end of a connection may lose: two rings, and a window that was opened again. */
const lostMax = 2 * 1024 + 2 * 256;

t.test("testpmd is killed under traffic and comes again", patient, async (t) => {
  const socket = `@np-kill-${process.pid}`;
  const load = await Peer.start(t, both({ role: "client", socket }, { bytes: 700, lossy: true }));
  const laps = 3;
  for (let lap = 1; lap <= laps; lap++) {
    const testpmd = await Testpmd.start([{ role: "server", socket }]);
    t.teardown(() => testpmd.kill());
    await testpmd.forward();
    await load.goesOn();
    await testpmd.kill();
    await load.disconnected();
  }
  const end = await load.stop();
  t.match(end, { ...noHarm, balanced: true });
  t.ok(end.lost <= laps * lostMax, `${end.lost} lost`);
  t.ok(end.sent <= end.good + laps * lostMax, "what was sent came back or was in a ring");
});

t.test("testpmd's port stops and starts under traffic", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  for (const role of ["server", "client"] as const) {
    const ours = role === "server" ? "client" : "server";
    const load = await Peer.start(t, both({ role: ours, socket }, { bytes: 700, lossy: true }));
    const testpmd = await Testpmd.start([{ role, socket }]);
    t.teardown(() => testpmd.kill());
    await testpmd.forward();
    for (let lap = 2; lap <= 4; lap++) {
      await load.goesOn();
      await testpmd.restartPort(0);
      await load.connected(lap);
    }
    await load.goesOn();
    const end = await load.stop();
    t.match(harm(end), noHarm);
    t.ok(end.lost <= 3 * lostMax, `${end.lost} lost`);
    t.match(end, { balanced: true });
    await testpmd.kill();
  }
});

/**
 * DPDK 22.11 unmaps a lost peer's memory under its forwarding core, which at times dies of it; then
 * another takes its place.
 */
async function standing(t: Test, testpmd: Testpmd, port: TestpmdPort): Promise<Testpmd> {
  if (await testpmd.survives()) return testpmd;
  t.comment("testpmd died of the lost connection, another takes its place");
  if (port.role === "server") rmSync(port.socket); // DPDK's server binds no name that a dead one left
  const another = await Testpmd.start([port]);
  t.teardown(() => another.kill());
  await another.forward();
  return another;
}

t.test("nodeplane is killed under traffic and comes again", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  let testpmd = await Testpmd.start([{ role: "server", socket }]);
  t.teardown(() => testpmd.kill());
  await testpmd.forward();
  for (let lap = 0; lap < 3; lap++) {
    const load = await Peer.start(t, both({ role: "client", socket }, { bytes: 700, lossy: true }));
    t.match(harm(await load.goesOn()), noHarm);
    await load.kill();
    if (lap === 1) await testpmd.kill(); // as it does by itself at times
    testpmd = await standing(t, testpmd, { role: "server", socket });
  }
  const last = await Peer.start(t, both({ role: "client", socket }, { count: 5000 }));
  t.match(await last.finished(), { ...noHarm, good: 5000, lost: 0 });
});

t.test("nodeplane's server is killed; testpmd's client is told", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  const first = await Peer.start(t, both({ role: "server", socket }, { bytes: 700, lossy: true }));
  const testpmd = await Testpmd.start([{ role: "client", socket }]);
  t.teardown(() => testpmd.kill());
  await testpmd.forward();
  await first.goesOn();
  await first.kill();
  // The stale socket file is replaced.
  const second = await Peer.start(t, both({ role: "server", socket }, { count: 5000 }));
  const now = await standing(t, testpmd, { role: "client", socket });
  if (now === testpmd) await now.restartPort(0);
  t.match(await second.finished(), { ...noHarm, good: 5000, lost: 0 });
});

t.test("testpmd stands still for a while", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  const testpmd = await Testpmd.start([{ role: "server", socket }]);
  t.teardown(() => testpmd.kill());
  await testpmd.forward();
  const load = await Peer.start(t, both({ role: "client", socket }, { bytes: 1500, lossy: true }));
  for (let lap = 0; lap < 3; lap++) {
    await load.goesOn();
    testpmd.signal("SIGSTOP");
    await sleep(300);
    testpmd.signal("SIGCONT");
  }
  await load.goesOn();
  t.match(await load.port(), { connects: 1, disconnects: 0, violations: 0 });
  const end = await load.stop();
  t.match(end, { ...noHarm, balanced: true });
  t.ok(end.lost <= 3 * lostMax, `${end.lost} lost`);
});
