// Packets for tests: a plain object becomes an Ethernet frame with right lengths and sums.
// test/kit/decode.ts goes the other way.

import type { IpText, MacText } from "../../src/kit/brand.js";
import { addressBytes, familyOf, macBytes } from "../../src/kit/ip.js";

export const protocols = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const;
export const etherTypes = { ip4: 0x0800, arp: 0x0806, ip6: 0x86dd, vlan: 0x8100 } as const;
/** In the order of their bits, lowest first (RFC 9293 section 3.1). */
export const tcpFlags = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;
export type TcpFlag = (typeof tcpFlags)[number];

interface Ports {
  sport: number;
  dport: number;
  payload?: Uint8Array;
}
/** How the L4 sum is: right, the pseudo-header's only (as veth gives it), zero (UDP: none), or off by one. */
export type Sum = "right" | "partial" | "zero" | "wrong";
export type L4 =
  | ({ kind: "tcp"; flags: TcpFlag[]; seq?: number; ack?: number; sum?: Sum } & Ports)
  | ({ kind: "udp"; sum?: Sum } & Ports)
  | ({ kind: "sctp"; tag?: number } & Ports)
  | { kind: "icmp"; type: number; code: number; word?: number; payload?: Uint8Array; sum?: Sum }
  | { kind: "raw"; protocol: number; payload: Uint8Array };

export interface Link {
  source: string;
  destination: string;
  vlans?: number[];
}
export interface IpPacket {
  source: string;
  destination: string;
  ttl?: number;
  /** IPv4: don't fragment. Set unless told otherwise. */
  df?: boolean;
  /** Offset in bytes; the L4 header is in the first fragment only. */
  fragment?: { offset: number; more: boolean };
  /** Bytes of IPv4 options or of an IPv6 hop-by-hop header; a multiple of 4 or 8. */
  options?: number;
  l4: L4;
}
export interface ArpPacket {
  operation: "request" | "reply";
  senderMac: string;
  sender: string;
  targetMac: string;
  target: string;
}

/** RFC 1071: the one's complement sum, folded, over bytes and on top of `start`. */
export function sum16(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** CRC32C as SCTP writes it (RFC 9260 appendix A): reflected, its result little-endian in the header. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

export const addressOf = (text: string): Uint8Array => {
  const family = familyOf(text as IpText);
  return addressBytes(text as IpText).slice(0, family === 4 ? 4 : 16);
};

/** The sum of RFC 9293's and RFC 8200's pseudo-header. */
export function pseudoSum(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): number {
  return sum16(source, sum16(destination)) + protocol + (length >>> 16) + (length & 0xffff);
}

export const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function write(length: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  fill(new DataView(bytes.buffer));
  return bytes;
}

export function protocolOf(l4: L4, family: 4 | 6): number {
  if (l4.kind === "raw") return l4.protocol;
  return l4.kind === "icmp" && family === 6 ? protocols.icmp6 : protocols[l4.kind];
}

/** Where the sum stands in the L4 header. */
export const sumOffset: Record<number, number> = {
  [protocols.tcp]: 16,
  [protocols.udp]: 6,
  [protocols.icmp]: 2,
  [protocols.icmp6]: 2,
};

function l4Header(l4: L4, payload: number): Uint8Array {
  switch (l4.kind) {
    case "tcp":
      return write(20, (v) => {
        v.setUint16(0, l4.sport);
        v.setUint16(2, l4.dport);
        v.setUint32(4, l4.seq ?? 0);
        v.setUint32(8, l4.ack ?? 0);
        v.setUint8(12, 5 << 4);
        v.setUint8(
          13,
          l4.flags.reduce((bits, flag) => bits | (1 << tcpFlags.indexOf(flag)), 0),
        );
        v.setUint16(14, l4.flags.includes("RST") ? 0 : 0xffff);
      });
    case "udp":
      return write(8, (v) => {
        v.setUint16(0, l4.sport);
        v.setUint16(2, l4.dport);
        v.setUint16(4, 8 + payload);
      });
    case "sctp":
      return write(12, (v) => {
        v.setUint16(0, l4.sport);
        v.setUint16(2, l4.dport);
        v.setUint32(4, l4.tag ?? 1);
      });
    case "icmp":
      return write(8, (v) => {
        v.setUint8(0, l4.type);
        v.setUint8(1, l4.code);
        v.setUint32(4, l4.word ?? 0);
      });
    case "raw":
      return new Uint8Array(0);
  }
}

/** Everything behind the IP header, with its sum. */
export function buildL4(l4: L4, source: Uint8Array, destination: Uint8Array): Uint8Array {
  const payload = l4.payload ?? new Uint8Array(0);
  const bytes = concat(l4Header(l4, payload.length), payload);
  const view = new DataView(bytes.buffer);
  const family = source.length === 4 ? 4 : 6;
  const protocol = protocolOf(l4, family);
  const at = sumOffset[protocol];
  if (l4.kind === "sctp") view.setUint32(8, crc32c(bytes), true);
  if (at === undefined || l4.kind === "raw" || l4.kind === "sctp") return bytes;
  const pseudo =
    protocol === protocols.icmp ? 0 : pseudoSum(source, destination, protocol, bytes.length);
  let sum = ~sum16(bytes, pseudo) & 0xffff;
  if (l4.kind === "udp" && sum === 0) sum = 0xffff; // RFC 768: zero means none
  if (l4.sum === "partial") sum = sum16(new Uint8Array(0), pseudo);
  if (l4.sum === "wrong") sum = (sum + 1) & 0xffff || 1;
  if (l4.sum === "zero") sum = 0;
  view.setUint16(at, sum);
  return bytes;
}

/** Makes an IPv4 header's sum right, whatever else the header says. */
export function resumIp4(bytes: Uint8Array, l3: number): void {
  const header = bytes.subarray(l3, l3 + Math.max(20, ((bytes[l3] ?? 0) & 15) * 4));
  header.fill(0, 10, 12);
  const sum = ~sum16(header) & 0xffff;
  header.set([sum >> 8, sum & 255], 10);
}

function ip4Header(
  p: IpPacket,
  source: Uint8Array,
  destination: Uint8Array,
  body: number,
): Uint8Array {
  const length = 20 + (p.options ?? 0);
  const header = write(length, (v) => {
    v.setUint8(0, (4 << 4) | (length / 4));
    v.setUint16(2, length + body);
    const fragment = p.fragment ? (p.fragment.offset >> 3) | (p.fragment.more ? 0x2000 : 0) : 0;
    v.setUint16(6, ((p.df ?? !p.fragment) ? 0x4000 : 0) | fragment);
    v.setUint8(8, p.ttl ?? 64);
    v.setUint8(9, protocolOf(p.l4, 4));
  });
  header.set(source, 12);
  header.set(destination, 16);
  header.fill(1, 20); // no-operation options (RFC 791 section 3.1)
  resumIp4(header, 0);
  return header;
}

function ip6Header(
  p: IpPacket,
  source: Uint8Array,
  destination: Uint8Array,
  body: number,
): Uint8Array {
  const last = protocolOf(p.l4, 6);
  const chain: [number, Uint8Array][] = [];
  if (p.options) {
    const pad = p.options - 4; // a PadN option fills the header (RFC 8200 section 4.2)
    chain.push([0, concat(new Uint8Array([0, p.options / 8 - 1, 1, pad]), new Uint8Array(pad))]);
  }
  if (p.fragment) {
    const { offset, more } = p.fragment;
    chain.push([44, write(8, (v) => v.setUint16(2, (offset & 0xfff8) | (more ? 1 : 0)))]);
  }
  for (const [i, [, header]] of chain.entries()) header[0] = chain[i + 1]?.[0] ?? last;
  const extensions = concat(...chain.map(([, header]) => header));
  const header = write(40, (v) => {
    v.setUint8(0, 6 << 4);
    v.setUint16(4, extensions.length + body);
    v.setUint8(6, chain[0]?.[0] ?? last);
    v.setUint8(7, p.ttl ?? 64);
  });
  header.set(source, 8);
  header.set(destination, 24);
  return concat(header, extensions);
}

/** An IP packet without Ethernet, as an ICMP error quotes it. */
export function buildIp(p: IpPacket): Uint8Array {
  const source = addressOf(p.source);
  const destination = addressOf(p.destination);
  const later = (p.fragment?.offset ?? 0) > 0;
  const body = later ? (p.l4.payload ?? new Uint8Array(0)) : buildL4(p.l4, source, destination);
  const header = (source.length === 4 ? ip4Header : ip6Header)(p, source, destination, body.length);
  return concat(header, body);
}

function ethernet(link: Link, type: number): Uint8Array {
  const tags = link.vlans ?? [];
  return write(14 + 4 * tags.length, (v) => {
    for (const [i, byte] of macBytes(link.destination as MacText).entries()) v.setUint8(i, byte);
    for (const [i, byte] of macBytes(link.source as MacText).entries()) v.setUint8(6 + i, byte);
    let at = 12;
    for (const tag of tags) {
      v.setUint16(at, etherTypes.vlan);
      v.setUint16(at + 2, tag);
      at += 4;
    }
    v.setUint16(at, type);
  });
}

/** A whole frame. */
export function build(link: Link, packet: IpPacket): Uint8Array {
  const type = familyOf(packet.source as IpText) === 4 ? etherTypes.ip4 : etherTypes.ip6;
  return concat(ethernet(link, type), buildIp(packet));
}

/** RFC 826, Ethernet and IPv4. */
export function buildArp(link: Link, arp: ArpPacket): Uint8Array {
  const head = new Uint8Array([0, 1, 8, 0, 6, 4, 0, arp.operation === "request" ? 1 : 2]);
  const parts = [arp.senderMac, arp.sender, arp.targetMac, arp.target].map((text, i) =>
    i % 2 ? addressOf(text) : macBytes(text as MacText),
  );
  return concat(ethernet(link, etherTypes.arp), head, ...parts);
}
