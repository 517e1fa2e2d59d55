// TCP segments as bytes, for peers that a demo without root plays by hand (RFC 9293 section 3.1).

import type { IpText, MacText } from "../kit/brand.js";
import { addressBytes, formatAddress, macBytes } from "../kit/ip.js";

export const Flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

export interface Segment {
  readonly source: IpText;
  readonly destination: IpText;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly payload: string;
}

const ethBytes = 14;
const tcpBytes = 20;

function sum(bytes: Uint8Array, start = 0): number {
  let total = start;
  for (let i = 0; i < bytes.length; i += 2)
    total += ((bytes[i] as number) << 8) + (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** An Ethernet frame with right sums. */
export function encodeSegment(s: Segment, from: MacText, to: MacText): Uint8Array {
  const source = addressBytes(s.source).subarray(0, s.source.includes(":") ? 16 : 4);
  const destination = addressBytes(s.destination).subarray(0, source.length);
  const v6 = source.length === 16;
  const ipBytes = v6 ? 40 : 20;
  const payload = Buffer.from(s.payload, "latin1");
  const frame = Buffer.alloc(ethBytes + ipBytes + tcpBytes + payload.length);
  frame.set(macBytes(to), 0);
  frame.set(macBytes(from), 6);
  frame.writeUInt16BE(v6 ? 0x86dd : 0x0800, 12);
  const ip = frame.subarray(ethBytes);
  const tcp = ip.subarray(ipBytes);
  if (v6) {
    ip[0] = 0x60;
    ip.writeUInt16BE(tcp.length, 4);
    ip[6] = 6;
    ip[7] = 64;
    ip.set(source, 8);
    ip.set(destination, 24);
  } else {
    ip[0] = 0x45;
    ip.writeUInt16BE(ip.length, 2);
    ip.writeUInt16BE(0x4000, 6);
    ip[8] = 64;
    ip[9] = 6;
    ip.set(source, 12);
    ip.set(destination, 16);
    ip.writeUInt16BE(~sum(ip.subarray(0, 20)) & 0xffff, 10);
  }
  tcp.writeUInt16BE(s.sourcePort, 0);
  tcp.writeUInt16BE(s.destinationPort, 2);
  tcp.writeUInt32BE(s.sequence >>> 0, 4);
  tcp.writeUInt32BE(s.acknowledgement >>> 0, 8);
  tcp[12] = 0x50;
  tcp[13] = s.flags;
  tcp.writeUInt16BE(0xffff, 14);
  tcp.set(payload, tcpBytes);
  const pseudo = sum(source, sum(destination, 6 + tcp.length));
  tcp.writeUInt16BE(~sum(tcp, pseudo) & 0xffff, 16);
  return frame;
}

/** Null when the frame is not TCP over IP, or when one of its sums is wrong. */
export function decodeSegment(bytes: Uint8Array): Segment | null {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < ethBytes + 20 + tcpBytes) return null;
  const type = frame.readUInt16BE(12);
  const v6 = type === 0x86dd;
  if (!v6 && type !== 0x0800) return null;
  const ip = frame.subarray(ethBytes);
  const ipBytes = v6 ? 40 : 20;
  if (ip.length < ipBytes + tcpBytes || ip[v6 ? 6 : 9] !== 6) return null;
  const tcp = ip.subarray(ipBytes);
  const source = v6 ? ip.subarray(8, 24) : ip.subarray(12, 16);
  const destination = v6 ? ip.subarray(24, 40) : ip.subarray(16, 20);
  if (!v6 && sum(ip.subarray(0, 20)) !== 0xffff) return null;
  if (sum(tcp, sum(source, sum(destination, 6 + tcp.length))) !== 0xffff) return null;
  const text = (a: Uint8Array): IpText => formatAddress(a, v6 ? 6 : 4);
  return {
    source: text(source),
    destination: text(destination),
    sourcePort: tcp.readUInt16BE(0),
    destinationPort: tcp.readUInt16BE(2),
    sequence: tcp.readUInt32BE(4),
    acknowledgement: tcp.readUInt32BE(8),
    flags: tcp[13] as number,
    payload: tcp.subarray(tcpBytes).toString("latin1"),
  };
}
