// Addresses between text and bytes, strictly.
import t from "tap";
import type { IpText } from "../../src/kit/brand.js";
import { formatProblem, messageOf, NodeplaneError } from "../../src/kit/error.js";
import {
  addressBytes,
  familyOf,
  formatAddress,
  formatEndpoint,
  formatPrefix,
  maskPrefix,
  notUnicast,
  parseAddress,
  parseInterfacePrefix,
  parseIp,
  parseMac,
  parsePrefix,
  prefixHolds,
} from "../../src/kit/ip.js";

const canonical: [string, string][] = [
  ["192.0.2.1", "192.0.2.1"],
  ["2001:DB8::1", "2001:db8::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"], // RFC 5952 section 4.2.3: the first of equals
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], // 4.2.2: one group is not shortened
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"], // the longest run
  ["::", "::"],
  ["::1", "::1"],
  ["fe80:0:0:0:0:0:0:0", "fe80::"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
];
for (const [text, wanted] of canonical) {
  t.test(text, async (t) => {
    const read = parseIp(text);
    t.ok(read.ok);
    if (!read.ok) return;
    t.equal(read.value, wanted);
    t.equal(formatAddress(addressBytes(read.value), familyOf(read.value)), wanted, "by its bytes");
  });
}

t.test("IPv4 stands in the first four bytes", async (t) => {
  t.same([...addressBytes("10.1.2.3" as IpText)], [10, 1, 2, 3, ...Array(12).fill(0)]);
});

t.test("what is no address", async (t) => {
  const wrong = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    "1.2.3.4 ",
    "fe80::1%eth0",
    "1::2::3",
    "::ffff:1.2.3.4",
    "::ffff:102:304",
    "g::",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
  ];
  for (const text of wrong) t.notOk(parseAddress(text).ok, JSON.stringify(text));
});

t.test("prefixes", async (t) => {
  const read = parsePrefix("10.1.0.0/16");
  t.ok(read.ok && formatPrefix(read.value) === "10.1.0.0/16");
  t.ok(parsePrefix("0.0.0.0/0").ok && parsePrefix("::/0").ok && parsePrefix("2001:db8::/33").ok);
  for (const text of [
    "10.1.0.0",
    "10.1.0.1/16",
    "10.1.0.0/33",
    "10.1.0.0/-1",
    "10.1.0.0/08",
    "10.1.0.0/",
    "2001:db8::/129",
    "2001:db8::1/64",
  ]) {
    t.notOk(parsePrefix(text).ok, text);
  }
  const port = parseInterfacePrefix("10.1.2.3/20");
  t.ok(port.ok && formatPrefix(maskPrefix(port.value)) === "10.1.0.0/20");
  const six = parseInterfacePrefix("2001:db8:ffff::1/35");
  t.ok(six.ok && formatPrefix(maskPrefix(six.value)) === "2001:db8:e000::/35");
});

t.test("what a prefix holds", async (t) => {
  const holds = (prefix: string, address: string): boolean => {
    const p = parseInterfacePrefix(prefix);
    const a = parseAddress(address);
    return p.ok && a.ok && prefixHolds(p.value, a.value);
  };
  t.ok(holds("10.1.2.3/23", "10.1.3.255"));
  t.notOk(holds("10.1.2.3/23", "10.1.4.0"));
  t.ok(holds("0.0.0.0/0", "255.1.1.1"));
  t.notOk(holds("0.0.0.0/0", "::1"), "of the other family nothing");
  t.ok(holds("2001:db8::/33", "2001:db8:7fff::1"));
  t.notOk(holds("2001:db8::/33", "2001:db8:8000::1"));
});

t.test("which addresses are a station's", async (t) => {
  const why = (text: string): string | null => {
    const a = parseAddress(text);
    return a.ok ? notUnicast(a.value) : "no address";
  };
  for (const text of ["10.0.0.1", "198.51.100.255", "2001:db8::1", "fe80::1"])
    t.equal(why(text), null, text);
  for (const text of [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "ff02::1",
  ])
    t.ok(why(text), text);
});

t.test("MACs and endpoints", async (t) => {
  t.ok(parseMac("02:00:5E:00:53:01").ok);
  for (const text of [
    "02:00:5e:00:53",
    "ff:ff:ff:ff:ff:ff",
    "01:00:5e:00:00:01",
    "00:00:00:00:00:00",
    "02-00-5e-00-53-01",
  ])
    t.notOk(parseMac(text).ok, text);
  t.equal(formatEndpoint("10.0.0.1", 80), "10.0.0.1:80");
  t.equal(formatEndpoint("::1", 80), "[::1]:80");
});

t.test("errors are one line, with their code's words", async (t) => {
  t.equal(
    new NodeplaneError("port_open_failed", { port: "a", message: "no such device" }).message,
    "port a: no such device",
  );
  const line = formatProblem({
    code: "config_invalid",
    file: "f",
    line: 1,
    column: 2,
    path: "a.b",
    message: "x\ny",
  });
  t.equal(line, "f:1:2: a.b: x\\ny");
  t.equal(messageOf(Object.assign(new Error("long"), { code: "EACCES" })), "permission denied");
});
