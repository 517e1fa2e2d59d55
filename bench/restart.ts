// bench restart: kill -9 of a dataplane full of connections and a start with the same flow file: what is
// lost, and how long nothing goes through. Two subjects: `nodeplane run` between namespaces with real
// TCP connections and data under way (from the kill to the first byte that a client gets through the new
// process), and a process with loop ports and as many connections as asked for (to the first packet).
import { withHugePages } from "./huge_pages.js";
import type { Question } from "./questions.js";
import { type Measured, machineFacts, measured, type Report } from "./report.js";
import type { Killed } from "./restart_kill.js";
import { killInMemory } from "./restart_memory.js";
import { killUnderTraffic } from "./restart_traffic.js";
import { needsRoot } from "./veth_peers.js";

const tcpConnections = 1000;
/** Bytes of a connection in the file. */
const recordBytes = 192;

const notes = [
  "tcp: nodeplane run on AF_XDP between namespaces, connections that echo 64 bytes ten times a second; the gap " +
    "ends with the first byte that any of them gets, so it has the start of node, of the ports and a TCP's retransmission in it.",
  "dataplane: a process with loop ports; the gap ends with a packet of one of the connections at the far port, and has the start of node in it. " +
    "records restored: the part of it that is the table's.",
];

async function repeat<K extends Killed>(rounds: number, kill: () => Promise<K>): Promise<K[]> {
  const all: K[] = [];
  for (let round = 0; round < rounds; round++) all.push(await kill());
  return all;
}

function restarted<K extends Killed>(
  subject: string,
  connections: number,
  all: readonly K[],
  ms: (one: K) => number,
): Measured {
  const parameters = { connections, family: 4, memory: all[0]?.memory ?? "" };
  const lost = all.reduce((sum, one) => sum + one.lost, 0);
  return { ...measured(subject, parameters, "ms", all.map(ms)), lost };
}

async function inMemory(flows: number, rounds: number): Promise<Measured[]> {
  const all = await withHugePages(2 * flows * recordBytes, () =>
    repeat(rounds, () => killInMemory(flows)),
  );
  return [
    restarted("dataplane", flows, all, (one) => one.gapMs),
    restarted("records restored", flows, all, (one) => one.restoreMs),
  ];
}

async function underTraffic(rounds: number): Promise<Report["cases"][number]> {
  const skipped = needsRoot();
  if (skipped) return { subject: "tcp", skipped };
  const all = await repeat(rounds, () => killUnderTraffic(tcpConnections));
  return restarted("tcp", tcpConnections, all, (one) => one.gapMs);
}

export const restart: Question = {
  name: "restart",
  about: "ms from kill -9 to the first packet through the next process, and connections lost",
  async run({ isFull, rounds: wished, progress }): Promise<Report> {
    const rounds = wished ?? (isFull ? 7 : 3);
    const quick = rounds === 1 ? [1000] : [1000, 1_000_000];
    const counts = isFull ? [1000, 100_000, 1_000_000, 4_000_000] : quick;
    const cases = [await underTraffic(rounds)];
    progress(1, counts.length + 1);
    for (const [i, flows] of counts.entries()) {
      cases.push(...(await inMemory(flows, rounds)));
      progress(i + 2, counts.length + 1);
    }
    return { question: "restart", machine: machineFacts(), cases, notes };
  },
};
