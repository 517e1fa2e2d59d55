// Frames in words, for tests: everything that matters of a packet on one line, wrong sums named.
import { formatAddress, formatEndpoint } from "../../src/kit/ip.js";
import { crc32c, etherTypes, protocols, pseudoSum, sum16, sumOffset, tcpFlags } from "./packet.js";

export interface Decoded {
  source: string;
  destination: string;
  family: 4 | 6;
  /** Offset of the IP header in the frame. */
  l3: number;
  /** Offset of the L4 header, or of a later fragment's bytes. */
  l4: number;
  /** End of the IP packet in the frame. */
  end: number;
  protocol: number;
  ttl: number;
  /** Fragments, options and DF, as words. */
  notes: string[];
  /** Neither cut short nor in pieces: the L4 sum can be judged. */
  whole: boolean;
}

const view = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const macText = (bytes: Uint8Array): string => (hex(bytes).match(/../g) ?? []).join(":");

function decode4(bytes: Uint8Array, l3: number): Decoded {
  const v = view(bytes);
  const header = (v.getUint8(l3) & 15) * 4;
  const fragment = v.getUint16(l3 + 6);
  const end = l3 + v.getUint16(l3 + 2);
  const notes: string[] = [];
  if (fragment & 0x4000) notes.push("df");
  if (fragment & 0x3fff)
    notes.push(`fragment ${(fragment & 0x1fff) * 8}${fragment & 0x2000 ? " more" : ""}`);
  if (header > 20) notes.push(`options ${header - 20}`);
  if (sum16(bytes.subarray(l3, l3 + header)) !== 0xffff) notes.push("WRONG-IP-SUM");
  return {
    source: formatAddress(bytes.subarray(l3 + 12, l3 + 16), 4),
    destination: formatAddress(bytes.subarray(l3 + 16, l3 + 20), 4),
    family: 4,
    l3,
    l4: l3 + header,
    end: Math.min(end, bytes.length),
    protocol: v.getUint8(l3 + 9),
    ttl: v.getUint8(l3 + 8),
    notes,
    whole: end <= bytes.length && !(fragment & 0x3fff),
  };
}

function decode6(bytes: Uint8Array, l3: number): Decoded {
  const v = view(bytes);
  const end = l3 + 40 + v.getUint16(l3 + 4);
  const notes: string[] = [];
  let whole = end <= bytes.length;
  let protocol = v.getUint8(l3 + 6);
  let l4 = l3 + 40;
  while ([0, 43, 44, 60].includes(protocol) && l4 + 8 <= bytes.length) {
    const length = protocol === 44 ? 8 : (v.getUint8(l4 + 1) + 1) * 8;
    if (protocol === 44) {
      const fragment = v.getUint16(l4 + 2);
      notes.push(`fragment ${fragment & 0xfff8}${fragment & 1 ? " more" : ""}`);
      if (fragment) whole = false;
    } else notes.push(`options ${length}`);
    protocol = v.getUint8(l4);
    l4 += length;
  }
  return {
    source: formatAddress(bytes.subarray(l3 + 8, l3 + 24), 6),
    destination: formatAddress(bytes.subarray(l3 + 24, l3 + 40), 6),
    family: 6,
    l3,
    l4,
    end: Math.min(end, bytes.length),
    protocol,
    ttl: v.getUint8(l3 + 7),
    notes,
    whole,
  };
}

/** The IP packet at `l3`; undefined when there is none that can be read. */
export function decodeIp(bytes: Uint8Array, l3: number): Decoded | undefined {
  const version = (bytes[l3] ?? 0) >> 4;
  if (version === 4 && bytes.length >= l3 + 20) return decode4(bytes, l3);
  if (version === 6 && bytes.length >= l3 + 40) return decode6(bytes, l3);
  return undefined;
}

/** Whether the L4 sum is right; undefined when it cannot be told (fragment, cut short, no sum). */
export function l4SumRight(bytes: Uint8Array, d: Decoded): boolean | undefined {
  const l4 = bytes.subarray(d.l4, d.end);
  if (!d.whole) return undefined;
  if (d.protocol === protocols.sctp) {
    const copy = Uint8Array.from(l4);
    copy.fill(0, 8, 12);
    return l4.length >= 12 && crc32c(copy) === view(l4).getUint32(8, true);
  }
  const at = sumOffset[d.protocol];
  if (at === undefined) return undefined;
  if (d.protocol === protocols.udp && d.family === 4 && view(l4).getUint16(6) === 0)
    return undefined;
  const addresses = d.family === 4 ? 4 : 16;
  const from = d.l3 + (d.family === 4 ? 12 : 8);
  const source = bytes.subarray(from, from + addresses);
  const destination = bytes.subarray(from + addresses, from + 2 * addresses);
  const icmp = d.protocol === protocols.icmp;
  return sum16(l4, icmp ? 0 : pseudoSum(source, destination, d.protocol, l4.length)) === 0xffff;
}

const isError = (d: Decoded, type: number): boolean =>
  d.family === 4 ? [3, 4, 5, 11, 12].includes(type) : type < 128;

function payloadWords(bytes: Uint8Array): string {
  if (bytes.length === 0) return "";
  const text = Buffer.from(bytes).toString("latin1");
  if (/^[ -~]{1,40}$/.test(text)) return ` payload "${text}"`;
  return ` payload ${bytes.length}:${hex(bytes.subarray(0, 64))}`;
}

function l4Words(bytes: Uint8Array, d: Decoded): string {
  const l4 = bytes.subarray(d.l4, d.end);
  const v = view(l4);
  const later = d.notes.some((note) => /^fragment [1-9]/.test(note));
  const short = l4.length < (d.protocol === protocols.tcp ? 20 : 8);
  const plain = (payload: Uint8Array): string =>
    `proto ${d.protocol} ${d.source} > ${d.destination}${payloadWords(payload)}`;
  if (later || l4.length < 8) return plain(l4);
  const between = (): string =>
    `${formatEndpoint(d.source, v.getUint16(0))} > ${formatEndpoint(d.destination, v.getUint16(2))}`;
  switch (d.protocol) {
    case protocols.tcp: {
      if (short) return `tcp ${between()} seq ${v.getUint32(4)}`;
      const flags = tcpFlags.filter((_, bit) => v.getUint8(13) & (1 << bit)).join(" ");
      const numbers = `seq ${v.getUint32(4)} ack ${v.getUint32(8)} window ${v.getUint16(14)}`;
      return `tcp ${between()} ${flags} ${numbers}${payloadWords(l4.subarray((v.getUint8(12) >> 4) * 4))}`;
    }
    case protocols.udp: {
      const none = v.getUint16(6) === 0 ? " sum zero" : "";
      return `udp ${between()}${none}${payloadWords(l4.subarray(8))}`;
    }
    case protocols.sctp:
      return `sctp ${between()} tag ${v.getUint32(4)}${payloadWords(l4.subarray(12))}`;
    case protocols.icmp:
    case protocols.icmp6: {
      const type = v.getUint8(0);
      const head = `icmp ${d.source} > ${d.destination} ${type}/${v.getUint8(1)} word ${v.getUint32(4)}`;
      const inner = isError(d, type) ? decodeIp(bytes, d.l4 + 8) : undefined;
      return inner
        ? `${head} quoting (${ipWords(bytes, inner)})`
        : `${head}${payloadWords(l4.subarray(8))}`;
    }
    default:
      return plain(l4);
  }
}

function ipWords(bytes: Uint8Array, d: Decoded): string {
  const wrong = l4SumRight(bytes, d) === false ? ["WRONG-L4-SUM"] : [];
  return [l4Words(bytes, d), `ttl ${d.ttl}`, ...d.notes, ...wrong].join(" ");
}

function arpWords(bytes: Uint8Array): string {
  const operation = view(bytes).getUint16(6) === 1 ? "request" : "reply";
  const ip = (at: number): string => formatAddress(bytes.subarray(at, at + 4), 4);
  const mac = (at: number): string => macText(bytes.subarray(at, at + 6));
  return `arp ${operation} ${mac(8)} ${ip(14)} > ${mac(18)} ${ip(24)}`;
}

/** One line that names every field tests care about; not the IPv4 identification, which is free. */
export function describe(frame: Uint8Array): string {
  const v = view(frame);
  const link = `${macText(frame.subarray(6, 12))} > ${macText(frame.subarray(0, 6))}`;
  let at = 12;
  let tags = "";
  for (; v.getUint16(at) === etherTypes.vlan || v.getUint16(at) === 0x88a8; at += 4)
    tags += ` vlan ${v.getUint16(at + 2) & 0xfff}`;
  const type = v.getUint16(at);
  const d = decodeIp(frame, at + 2);
  if (type === etherTypes.arp) return `${link}${tags} ${arpWords(frame.subarray(at + 2))}`;
  return `${link}${tags} ${d ? ipWords(frame, d) : `type ${type.toString(16)}${payloadWords(frame.subarray(at + 2))}`}`;
}
