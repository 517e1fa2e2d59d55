// nodeplane to nodeplane, each a process of its own: who copies, whose memory, what is on the wire,
// and either one killed under traffic.
import t from "tap";
import {
  both,
  bounce,
  copyBy,
  folder,
  harm,
  type MemifPort,
  noHarm,
  Peer,
  patient,
} from "./kit.js";

interface Way {
  server?: Partial<MemifPort>;
  client?: Partial<MemifPort>;
  /** Packets on the way at most: a jumbo frame takes five slots. */
  window?: number;
  /** Packets of each size. */
  count?: number;
}
const plain = ["cpu", "thread", "model"] as const;
const model = ["model"] as const;
const few = { window: 5, count: 500 };
const ways: [string, readonly ("cpu" | "thread" | "model")[], Way][] = [
  ["copying client", plain, {}],
  ["lending client", plain, { client: { zeroCopy: true } }],
  ["small rings", model, { client: { ringSize: 32 }, ...few }],
  ["small rings of lent frames", model, { client: { ringSize: 32, zeroCopy: true }, ...few }],
  ["three rings each way", model, { server: { queues: 3 }, client: { queues: 3 } }],
];
const sizes = [64, 1500, 9000];

for (const [name, engines, way] of ways)
  for (const engine of engines)
    t.test(`${name}, ${engine}`, patient, async (t) => {
      const socket = `${folder(t)}/a.sock`;
      const { window = 128, count = 2500 } = way;
      const wall = await Peer.start(
        t,
        bounce({ ...way.server, role: "server", socket }, copyBy(engine)),
      );
      for (const bytes of sizes) {
        const load = await Peer.start(
          t,
          both({ ...way.client, role: "client", socket }, { bytes, flows: 24, count, window }),
        );
        t.match(await load.finished(), { ...noHarm, good: count, lost: 0 }, `${bytes} B`);
        t.match(await load.stop(), { balanced: true });
      }
      const all = sizes.length * count;
      t.match(await wall.stop(), { received: all, answered: all, dropped: 0, balanced: true });
    });

t.test("the server sends", patient, async (t) => {
  const socket = `@np-server-sends-${process.pid}`;
  for (const zeroCopy of [false, true]) {
    const load = await Peer.start(
      t,
      both({ role: "server", socket }, { bytes: 2500, count: 5000, window: 128 }),
    );
    const wall = await Peer.start(t, bounce({ role: "client", socket, zeroCopy }));
    t.match(await load.finished(), { ...noHarm, good: 5000, lost: 0 });
    t.match(await load.stop(), { balanced: true });
    t.match(await wall.stop(), { answered: 5000, dropped: 0, balanced: true });
  }
});

t.test("ip mode: what is no IP stays at home", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  const ip = { socket, mode: "ip" } as const;
  const wall = await Peer.start(t, bounce({ role: "server", ...ip }));
  const load = await Peer.start(t, both({ role: "client", ...ip }, { bytes: 1200, count: 5000 }));
  t.match(await load.finished(), { ...noHarm, good: 5000, lost: 0 });
  t.match(await load.stop(), { balanced: true });
  t.match(await wall.stop(), { answered: 5000, dropped: 0, balanced: true });
});

t.test("one has a mode that the other has not", patient, async (t) => {
  const socket = `${folder(t)}/a.sock`;
  const server = await Peer.start(t, bounce({ role: "server", socket }));
  const client = await Peer.start(t, both({ role: "client", socket, mode: "ip" }, {}));
  await client.hears(/no connection to .*mode mismatch/);
  t.match(await client.stats(), { sent: 0 });
  t.match(await client.stop(), { balanced: true });
  t.match(await server.stop(), { balanced: true });
});

/** Rings of 1,024, and windows that were opened again while nobody answered. */
const lostMax = 2 * 1024 + 2 * 256;

for (const zeroCopy of [false, true])
  t.test(`either is killed, ${zeroCopy ? "lent" : "copied"}`, patient, async (t) => {
    const socket = `${folder(t)}/a.sock`;
    const traffic = { bytes: 900, lossy: true };
    const server = { role: "server", socket } as const;
    const client = { role: "client", socket, zeroCopy } as const;
    const laps = 3;

    let wall = await Peer.start(t, bounce(server, copyBy("model")));
    const load = await Peer.start(t, both(client, traffic));
    for (let lap = 0; lap < laps; lap++) {
      await load.goesOn();
      await wall.kill();
      wall = await Peer.start(t, bounce(server, copyBy("model")));
    }
    await load.goesOn();
    const end = await load.stop();
    t.match(harm(end), noHarm);
    t.match(end, { balanced: true });
    t.ok(end.lost <= laps * lostMax, `${end.lost} lost`);

    for (let lap = 0; lap < laps; lap++) {
      const other = await Peer.start(t, both(client, traffic));
      t.match(harm(await other.goesOn()), noHarm);
      await other.kill();
    }
    await wall.disconnected();
    t.match(await wall.port(), { connects: laps + 1, violations: 0 });
    t.match(await wall.stop(), { balanced: true });
  });

/** Asleep, a worker looks every 100 ms by itself. */
const lookMs = 100;
const tries = 5;

t.test("a worker that sleeps is woken by the bell", patient, async (t) => {
  // One packet at a time, and time to fall asleep between them.
  const socket = `${folder(t)}/a.sock`;
  const count = 50;
  const wall = await Peer.start(t, bounce({ role: "server", socket }));
  let active = Number.POSITIVE_INFINITY;
  let answered = 0;
  // Where others work, too, to be woken takes its time; without the bell it would each time.
  const isWoken = (): boolean => active < (count * lookMs) / 1000 / 2.5;
  while (!isWoken() && answered < tries * count) {
    const load = await Peer.start(t, {
      ...both({ role: "client", socket }, { count, window: 1 }),
      packetsPerSecond: 100,
    });
    const end = await load.finished();
    t.match(end, { ...noHarm, good: count, lost: 0 });
    active = end.activeSeconds;
    answered += count;
    t.match(await load.stop(), { balanced: true });
  }
  t.ok(isWoken(), `${active} s for ${count} packets`);
  const stop = await wall.stop();
  t.match(stop, { balanced: true, answered });
  t.ok(stop.cpuSeconds < stop.seconds / 2, `${stop.cpuSeconds} s of work in ${stop.seconds} s`);
});
