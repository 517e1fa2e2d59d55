// Rows as people see them.
import t from "tap";
import { counterNames } from "../../src/gen/counters.js";
import { dropNames } from "../../src/gen/drops.js";
import {
  type FlowRow,
  FlowState,
  flowRowSize,
  idNone,
  writeFlowRow,
} from "../../src/gen/layout.js";
import type { IpText } from "../../src/kit/brand.js";
import { addressBytes } from "../../src/kit/ip.js";
import { counterWords, decodeCounters } from "../../src/observe/counters.js";
import { decodeFlows, flowCells } from "../../src/observe/flows.js";
import { table } from "../../src/observe/table.js";

const names = {
  labelOf: (id: number) => (id === 3 ? "default/web:80" : undefined),
  networkOf: (id: number) => ["default", "blue"][id],
  zoneOf: (id: number) => ["default", "pods"][id],
};
const bytes = (text: string): Uint8Array => addressBytes(text as IpText);
const row: FlowRow = {
  originalSource: bytes("198.51.100.7"),
  originalDestination: bytes("10.96.0.10"),
  replySource: bytes("10.1.0.11"),
  replyDestination: bytes("10.1.0.1"),
  packetsForward: 3n,
  packetsBackward: 2n,
  bytesForward: 300n,
  bytesBackward: 2n ** 40n,
  expiresMs: 1500n,
  lastSeenMs: 7n,
  service: 3,
  endpoint: 5,
  originalSourcePort: 40000,
  originalDestinationPort: 80,
  replySourcePort: 8080,
  replyDestinationPort: 1024,
  network: 1,
  zone: 0,
  family: 4,
  protocol: 6,
  state: FlowState.established,
  tcpFlagsForward: 0,
  tcpFlagsBackward: 0,
  worker: 0,
};

function decode(...rows: FlowRow[]) {
  // One byte off, as a view into somebody's memory may be.
  const memory = new Uint8Array(1 + rows.length * flowRowSize);
  const view = new DataView(memory.buffer, 1);
  rows.forEach((r, i) => {
    writeFlowRow(view, i * flowRowSize, r);
  });
  return decodeFlows(memory.subarray(1), names);
}

t.test("a TCP connection", async (t) => {
  t.same(decode(row), [
    {
      network: "blue",
      zone: "default",
      protocol: "TCP",
      state: "established",
      original: {
        source: "198.51.100.7",
        sourcePort: 40000,
        destination: "10.96.0.10",
        destinationPort: 80,
      },
      reply: {
        source: "10.1.0.11",
        sourcePort: 8080,
        destination: "10.1.0.1",
        destinationPort: 1024,
      },
      packets: [3, 2],
      bytes: [300, 2 ** 40],
      expiresInMs: 1500,
      service: "default/web:80",
      endpoint: "10.1.0.11:8080",
    },
  ]);
});

t.test("IPv6, echo, no names", async (t) => {
  const six = {
    ...row,
    family: 6,
    protocol: 17,
    originalSource: bytes("2001:db8::7"),
    replySource: bytes("fd00::1"),
    service: 9,
    network: 7,
    zone: 2,
    state: FlowState.unreplied,
  };
  const echo = { ...row, protocol: 1, service: idNone, endpoint: idNone };
  const [a, b] = decode(six, echo);
  t.match(a, {
    protocol: "UDP",
    network: "7",
    zone: "2",
    state: "unreplied",
    service: "#9",
    endpoint: "[fd00::1]:8080",
    original: { source: "2001:db8::7" },
  });
  t.match(b, { protocol: "ICMP", service: null, endpoint: null });
  t.same(a && flowCells(a)[2], "[2001:db8::7]:40000 > [a60:a::]:80");
});

t.test("counters are summed over workers", async (t) => {
  const stride = counterWords * 8 + 64;
  const memory = new ArrayBuffer(2 * stride);
  const set = (worker: number, word: number, value: bigint): void => {
    new BigUint64Array(memory, worker * stride)[word] = value;
  };
  const drop = dropNames.indexOf("no_route");
  set(0, drop, 2n);
  set(1, drop, 3n);
  set(0, 0, 99n); // "none" is no drop
  const counter = dropNames.length + counterNames.indexOf("flow_new");
  set(1, counter, 2n ** 33n);
  const port = dropNames.length + counterNames.length + 4 * 6;
  [10n, 1000n, 20n, 2000n].forEach((v, i) => {
    set(0, port + i, v);
  });
  const got = decodeCounters(memory, stride, [
    { name: "a", id: 6 },
    { name: "b", id: 0 },
  ]);
  t.same(got.drops, { no_route: 5 });
  t.equal(got.counts.flow_new, 2 ** 33);
  t.equal(got.counts.flow_hit, 0);
  t.same(got.ports.a, { rxPackets: 10, rxBytes: 1000, txPackets: 20, txBytes: 2000 });
  t.same(got.ports.b, { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 });
});

t.test("tables line up and nothing draws on the terminal", async (t) => {
  t.equal(
    table(
      ["A", "LONGER"],
      [
        ["x", "y"],
        ["long", "\u001b[31m"],
      ],
    ),
    "A     LONGER\nx     y\nlong  \\u001b[31m",
  );
  t.equal(table([], [["a", "b"]]), "a  b");
});
