// The tests' own packets are judged by tshark first: what builds wrong sums proves nothing.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { describe } from "./decode.js";
import { readPcap, writePcap } from "./pcap.js";
import { type Setting, tell } from "./words.js";

const setting: Setting = {
  ttl: 64,
  mac: () => "02:00:00:00:00:0a",
  link: () => ({ source: "02:00:00:00:00:0a", destination: "02:00:00:00:00:0b" }),
};
const link = "02:00:00:00:00:0a > 02:00:00:00:00:0b";

const good = [
  "tcp 198.51.100.7:40000 > 10.96.0.10:80 SYN seq 7",
  'tcp [2001:db8::7]:40000 > [fd00:96::10]:80 PSH ACK seq 1 ack 2 payload "hello"',
  'udp 198.51.100.7:40000 > 10.96.0.10:9999 payload "odd"',
  'udp [2001:db8::7]:40000 > [fd00:96::10]:9999 options 8 payload "odd"',
  "sctp 198.51.100.7:40000 > 10.96.0.10:3868 tag 9",
  "icmp 198.51.100.7 > 10.96.0.10 echo-request id 5 seq 6 length 9",
  "icmp 2001:db8::7 > fd00:96::10 echo-reply id 5 seq 6",
  "icmp 10.1.0.11 > 198.51.100.7 port-unreachable quoting udp 198.51.100.7:40000 > 10.1.0.11:53 length 8",
  "icmp fd00:1::11 > 2001:db8::7 too-big mtu 1400 quoting tcp [2001:db8::7]:1 > [fd00:1::11]:2 ACK",
  "tcp 198.51.100.7:40000 > 10.96.0.10:80 SYN options 8 vlan 100",
  "arp request 10.1.0.11 from 10.1.0.1",
  "ndp solicit fd00:1::11 from fd00:1::1",
  "ndp advertise fd00:1::11 from fd00:1::11 to fd00:1::1 solicited override",
];

t.test("tshark finds nothing wrong with what is told right", async (t) => {
  const file = join(t.testdir(), "told.pcap");
  const frames = good.map((words) => tell(words, setting).frame);
  writeFileSync(file, writePcap(frames.map((frame, at) => ({ at, frame }))));
  const check = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"].flatMap((o) => [
    "-o",
    `${o}:TRUE`,
  ]);
  const sctp = ["-o", "sctp.checksum:TRUE"];
  const shown = ["frame.number", "_ws.malformed", "_ws.expert.severity", "frame.protocols"].flatMap(
    (f) => ["-e", f],
  );
  const bad =
    "_ws.malformed || ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 || icmp.checksum.status==0 || icmpv6.checksum.status==0 || sctp.checksum.status==0";
  const tshark = (filter: string): string[] =>
    execFileSync(
      "tshark",
      ["-r", file, ...check, ...sctp, "-Y", filter, "-T", "fields", ...shown],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      },
    )
      .split("\n")
      .filter(Boolean);
  t.same(tshark(bad), []);
  t.equal(tshark("frame").length, good.length);
  t.same(readPcap(writePcap([{ at: 1_500_001, frame: frames[0] as Uint8Array }])), [
    { at: 1_500_001, frame: frames[0] },
  ]);
});

t.test("describe names what was told, and what is wrong", async (t) => {
  const said = (words: string): string => describe(tell(words, setting).frame);
  t.equal(
    said('tcp [2001:db8::7]:40000 > [fd00:96::10]:80 PSH ACK seq 1 ack 2 payload "hello"'),
    `${link} tcp [2001:db8::7]:40000 > [fd00:96::10]:80 PSH ACK seq 1 ack 2 window 65535 payload "hello" ttl 64`,
  );
  t.equal(
    said(
      "icmp 10.1.0.11 > 198.51.100.7 port-unreachable quoting udp 198.51.100.7:4 > 10.1.0.11:53 ttl 9",
    ),
    `${link} icmp 10.1.0.11 > 198.51.100.7 3/3 word 0 quoting (udp 198.51.100.7:4 > 10.1.0.11:53 ttl 9 df) ttl 64 df`,
  );
  for (const sum of ["wrong", "partial"])
    t.match(said(`tcp 192.0.2.2:1 > 192.0.2.3:2 ACK sum ${sum}`), /WRONG-L4-SUM/);
  t.match(said("tcp 192.0.2.2:1 > 192.0.2.3:2 ACK patch 24=ffff"), /WRONG-IP-SUM/);
  t.match(said("udp 192.0.2.2:1 > 192.0.2.3:2 sum zero"), / sum zero ttl 64/);
  t.match(said("udp 192.0.2.2:1 > 192.0.2.3:2 fragment 0 more length 16"), /fragment 0 more/);
  for (const words of good) t.notMatch(said(words), /WRONG/, words);
  t.throws(() => said("tcp 192.0.2.2:1 > 192.0.2.3:2 ACK colour 5"), { message: /what is colour/ });
});
