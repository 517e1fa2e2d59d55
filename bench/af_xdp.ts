// bench af_xdp: what the corridor adds to AF_XDP forwarding on veth. Two equal networks (veth_net.ts),
// the same driver and options in both; in one the packets walk the corridor to an endpoint, in the
// other they are forwarded untouched. Measured is the worker's own processor time per packet
// (schedstat), which on veth includes the kernel's transmit path (`sendto`), and the rate.
import { roundTrip } from "./cores.js";
import type { Question } from "./questions.js";
import { withGoal } from "./ratio.js";
import { type Measured, machineFacts, measured, type Report } from "./report.js";
import { needsRoot } from "./veth_peers.js";
import { Subject } from "./veth_subjects.js";

/** ns: more would show on veth. */
const addedMax = 80;

interface Samples {
  readonly cpu: number[];
  readonly rate: number[];
}

async function compare(
  corridor: Subject,
  forward: Subject,
  flows: number,
  rounds: number,
  isShort: boolean,
): Promise<Measured[]> {
  const all = new Map<Subject, Samples>([
    [corridor, { cpu: [], rate: [] }],
    [forward, { cpu: [], rate: [] }],
  ]);
  const roundTripNs: [number, number][] = [];
  for (let round = 0; round < rounds; round++) {
    const before = roundTrip();
    for (const subject of round % 2 ? [corridor, forward] : [forward, corridor]) {
      // The first makes the flows.
      const warmMs = isShort ? 50 : round === 0 ? 600 : 150;
      const wish = { warmMs, sampleMs: isShort ? 100 : 350 };
      const s = await subject.sample({ flows, ...wish });
      all.get(subject)?.cpu.push(s.workersNs / s.received);
      all.get(subject)?.rate.push(s.received / s.seconds / 1e6);
    }
    roundTripNs.push([before, roundTrip()]);
  }
  const parameters = { flows, services: 1, family: 4, workers: 1, bytes: 64 };
  const c = all.get(corridor) as Samples;
  const f = all.get(forward) as Samples;
  const unit = "ns CPU/packet";
  const added = c.cpu.map((v, i) => v - (f.cpu[i] as number));
  return [
    measured("corridor", parameters, unit, c.cpu),
    measured("forward", parameters, unit, f.cpu),
    { ...withGoal(measured("added", parameters, unit, added), { atMost: addedMax }), roundTripNs },
    measured("corridor", parameters, "Mpps", c.rate),
    measured("forward", parameters, "Mpps", f.rate),
  ];
}

export const afXdp: Question = {
  name: "af_xdp",
  about: "CPU time that the corridor adds to bare AF_XDP forwarding on veth (root)",
  async run({ isFull, rounds: wished, progress }): Promise<Report> {
    const question = "af_xdp";
    const skipped = needsRoot();
    if (skipped)
      return { question, machine: machineFacts(), cases: [{ subject: "corridor", skipped }] };
    const subjects: Subject[] = [];
    try {
      const corridor = await Subject.open("af_xdp", 1, subjects.length);
      subjects.push(corridor);
      const forward = await Subject.open("af_xdp_forward", 1, subjects.length);
      subjects.push(forward);
      const counts = isFull ? [1, 1_000, 10_000, 100_000] : [1_000, 100_000];
      const rounds = wished ?? (isFull ? 25 : 15);
      const cases: Measured[] = [];
      for (const [i, flows] of counts.entries()) {
        cases.push(...(await compare(corridor, forward, flows, rounds, wished === 1)));
        progress(i + 1, counts.length);
      }
      const port = corridor.facts?.ports[0] ?? "";
      return { question, machine: machineFacts({ port }), cases };
    } finally {
      for (const subject of subjects) await subject.close();
    }
  },
};
