// Packets told in words, as stories write them. docs/adding.md has the grammar with examples.
import {
  addressOf,
  build,
  buildArp,
  buildIp,
  concat,
  type IpPacket,
  type L4,
  type Link,
  resumIp4,
  type Sum,
  type TcpFlag,
  tcpFlags,
} from "./packet.js";

export interface Told {
  frame: Uint8Array;
  /** Addresses that say which port it is on: of IP, or the asking and the asked (ARP, NDP). */
  from: string;
  to: string;
  /** Microseconds, when the words say `at`. */
  at?: number;
  /** The port, when the words say `on`. */
  on?: string;
  times: number;
}
/** What the words leave out. */
export interface Setting {
  ttl: number;
  link(source: string, destination: string, on: string | undefined): Link;
  mac(address: string): string;
}

const icmpNames: Record<string, { 4: [number, number]; 6: [number, number] }> = {
  "echo-request": { 4: [8, 0], 6: [128, 0] },
  "echo-reply": { 4: [0, 0], 6: [129, 0] },
  "net-unreachable": { 4: [3, 0], 6: [1, 0] },
  "host-unreachable": { 4: [3, 1], 6: [1, 3] },
  "port-unreachable": { 4: [3, 3], 6: [1, 4] },
  "too-big": { 4: [3, 4], 6: [2, 0] },
  "time-exceeded": { 4: [11, 0], 6: [3, 0] },
};

/** Of a packet as its sender made it. */
export const ttlSent = 64;
const unspecified = "00:00:00:00:00:00";
const broadcast = "ff:ff:ff:ff:ff:ff";

function split(endpoint: string): { address: string; port: number } {
  const match = /^\[(.+)\]:(\d+)$/.exec(endpoint) ?? /^([\d.]+):(\d+)$/.exec(endpoint);
  if (!match) throw new Error(`${endpoint} is not address:port`);
  return { address: match[1] ?? "", port: Number(match[2]) };
}

export function seconds(text: string): number {
  const match = /^([\d.]+)(s|ms)$/.exec(text);
  if (!match) throw new Error(`${text} is not a time`);
  return Math.round(Number(match[1]) * (match[2] === "s" ? 1e6 : 1e3));
}

/** Words with their quoted texts whole. */
class Words {
  readonly #tokens: string[];
  constructor(readonly text: string) {
    this.#tokens = text.match(/"[^"]*"|\S+/g) ?? [];
  }
  next(): string {
    const token = this.#tokens.shift();
    if (token === undefined) throw new Error(`"${this.text}" ends too early`);
    return token;
  }
  peek(): string | undefined {
    return this.#tokens[0];
  }
  expect(word: string): void {
    const got = this.next();
    if (got !== word) throw new Error(`"${this.text}": ${word} expected, not ${got}`);
  }
  number(): number {
    const n = Number(this.next());
    if (Number.isNaN(n)) throw new Error(`"${this.text}": a number is missing`);
    return n;
  }
  rest(): string {
    return this.#tokens.splice(0).join(" ");
  }
}

// RFC 4291 section 2.7.1: the group that the owner of an address listens to.
function solicitedNode(target: string): { address: string; mac: string } {
  const low = Buffer.from(addressOf(target).subarray(13)).toString("hex");
  const mac = `33:33:ff:${(low.match(/../g) ?? []).join(":")}`;
  return { address: `ff02::1:ff${low.slice(0, 2)}:${low.slice(2)}`, mac };
}

function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (pair) => Number.parseInt(pair, 16));
}

interface LinkTold {
  frame: Uint8Array;
  from: string;
  to: string;
}

function tellArp(words: Words, setting: Setting): LinkTold {
  const operation = words.next() as "request" | "reply";
  const subject = words.next(); // the address asked for, or the one that answers
  words.expect(operation === "request" ? "from" : "to");
  const other = words.next();
  const [sender, target] = operation === "request" ? [other, subject] : [subject, other];
  const senderMac = setting.mac(sender);
  const targetMac = operation === "request" ? unspecified : setting.mac(target);
  const link = { source: senderMac, destination: operation === "request" ? broadcast : targetMac };
  const frame = buildArp(link, { operation, senderMac, sender, targetMac, target });
  return { frame, from: sender, to: target };
}

function tellNdp(words: Words, setting: Setting): LinkTold {
  const what = words.next();
  const target = words.next();
  words.expect("from");
  const source = words.next();
  const own = macBytes(setting.mac(source));
  const option = (type: number): Uint8Array => concat(new Uint8Array([type, 1]), own);
  const common = { source, ttl: 255 };
  if (what === "solicit") {
    const group = solicitedNode(target);
    const l4: L4 = {
      kind: "icmp",
      type: 135,
      code: 0,
      payload: concat(addressOf(target), option(1)),
    };
    const link = { source: setting.mac(source), destination: group.mac };
    const frame = build(link, { ...common, destination: group.address, l4 });
    return { frame, from: source, to: target };
  }
  words.expect("to");
  const destination = words.next();
  let word = 0;
  for (const [flag, bit] of Object.entries({ router: 31, solicited: 30, override: 29 }))
    if (words.peek() === flag) word += 2 ** bit * (words.next() ? 1 : 0);
  const l4: L4 = {
    kind: "icmp",
    type: 136,
    code: 0,
    word,
    payload: concat(addressOf(target), option(2)),
  };
  const link = { source: setting.mac(source), destination: setting.mac(destination) };
  return { frame: build(link, { ...common, destination, l4 }), from: source, to: destination };
}

function tellL4(kind: string, words: Words): { packet: IpPacket; l4: L4 & { word?: number } } {
  const from = words.next();
  words.expect(">");
  const to = words.next();
  if (kind === "icmp") {
    const name = words.next();
    const types = icmpNames[name]?.[from.includes(":") ? 6 : 4];
    if (!types) throw new Error(`"${words.text}": ${name} is no ICMP message known here`);
    const l4: L4 = {
      kind,
      type: types[0],
      code: types[1],
      word: name.startsWith("echo") ? 0x10001 : 0,
    };
    return { packet: { source: from, destination: to, l4 }, l4 };
  }
  if (kind === "proto") {
    const l4: L4 = { kind: "raw", protocol: words.number(), payload: new Uint8Array(8) };
    return { packet: { source: from, destination: to, l4 }, l4 };
  }
  const [source, destination] = [split(from), split(to)];
  const ports = { sport: source.port, dport: destination.port };
  const flags: TcpFlag[] = [];
  while (kind === "tcp" && tcpFlags.includes(words.peek() as TcpFlag))
    flags.push(words.next() as TcpFlag);
  if (kind !== "tcp" && kind !== "udp" && kind !== "sctp")
    throw new Error(`"${words.text}": what is ${kind}?`);
  const l4: L4 = kind === "tcp" ? { kind, flags, ...ports } : { kind, ...ports };
  return { packet: { source: source.address, destination: destination.address, l4 }, l4 };
}

interface Extras {
  at?: number;
  on?: string;
  times: number;
  vlans: number[];
  truncate?: number;
  /** Bytes that an ICMP error quotes at most. */
  quote: number;
  resum: boolean;
  patches: [number, Uint8Array][];
}

// Attributes in any order; true when the word was one.
function tellAttribute(word: string, words: Words, packet: IpPacket, extras: Extras): boolean {
  const l4 = packet.l4 as Extract<L4, { kind: "tcp" }> & { word?: number; tag?: number };
  switch (word) {
    case "seq":
      if (packet.l4.kind === "icmp") l4.word = ((l4.word ?? 0) & 0xffff0000) + words.number();
      else l4.seq = words.number();
      return true;
    case "ack":
      l4.ack = words.number();
      return true;
    case "id":
      l4.word = words.number() * 0x10000 + ((l4.word ?? 0) & 0xffff);
      return true;
    case "mtu":
      l4.word = words.number();
      return true;
    case "tag":
      l4.tag = words.number();
      return true;
    case "payload":
      l4.payload = new TextEncoder().encode(words.next().slice(1, -1));
      return true;
    case "length":
      l4.payload = new Uint8Array(words.number()).fill(0x6e);
      return true;
    case "sum":
      l4.sum = words.next() as Sum;
      return true;
    case "ttl":
      packet.ttl = words.number();
      return true;
    case "nodf":
      packet.df = false;
      return true;
    case "options":
      packet.options = words.number();
      return true;
    case "fragment": {
      const offset = words.number();
      const more = words.peek() === "more";
      if (more) words.next();
      packet.fragment = { offset, more };
      return true;
    }
    case "at":
      extras.at = seconds(words.next());
      return true;
    case "on":
      extras.on = words.next();
      return true;
    case "times":
      extras.times = words.number();
      return true;
    case "vlan":
      extras.vlans.push(words.number());
      return true;
    case "quote":
      extras.quote = words.number();
      return true;
    case "resum":
      extras.resum = true;
      return true;
    case "truncate":
      extras.truncate = words.number();
      return true;
    case "patch": {
      const [at, bytes] = words.next().split("=");
      extras.patches.push([Number(at), new Uint8Array(Buffer.from(bytes ?? "", "hex"))]);
      return true;
    }
    default:
      return false;
  }
}

function tellIp(kind: string, words: Words, ttl: number, extras: Extras): IpPacket {
  const { packet, l4 } = tellL4(kind, words);
  packet.ttl = ttl;
  for (let word = words.peek(); word !== undefined; word = words.peek()) {
    words.next();
    if (tellAttribute(word, words, packet, extras)) continue;
    if (word !== "quoting") throw new Error(`"${words.text}": what is ${word}?`);
    const inner = new Words(words.rest());
    const quoted = buildIp(tellIp(inner.next(), inner, ttlSent, { ...extras }));
    (l4 as Extract<L4, { kind: "icmp" }>).payload = quoted.slice(0, extras.quote);
  }
  return packet;
}

/** One packet from its words. Throws an Error that shows the words when they cannot be read. */
export function tell(text: string, setting: Setting): Told {
  const words = new Words(text);
  const kind = words.next();
  const extras: Extras = { times: 1, vlans: [], patches: [], quote: 65535, resum: false };
  let told: LinkTold;
  if (kind === "arp" || kind === "ndp") {
    told = (kind === "arp" ? tellArp : tellNdp)(words, setting);
    const none: IpPacket = {
      source: "",
      destination: "",
      l4: { kind: "raw", protocol: 0, payload: told.frame },
    };
    for (let word = words.peek(); word !== undefined; word = words.peek())
      if (!tellAttribute(words.next(), words, none, extras))
        throw new Error(`"${text}": what is ${word}?`);
  } else {
    const packet = tellIp(kind, words, setting.ttl, extras);
    const { source: from, destination: to } = packet;
    const link = setting.link(from, to, extras.on);
    told = { frame: build({ ...link, vlans: extras.vlans }, packet), from, to };
  }
  for (const [at, bytes] of extras.patches) told.frame.set(bytes, at);
  if (extras.resum) resumIp4(told.frame, 14 + 4 * extras.vlans.length);
  if (extras.truncate !== undefined) told.frame = told.frame.slice(0, extras.truncate);
  const { at, on, times } = extras;
  return { ...told, times, ...(at !== undefined && { at }), ...(on !== undefined && { on }) };
}
