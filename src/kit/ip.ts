// Addresses between text and 16 bytes (network order, IPv4 in the first 4), strictly: no zone ids,
// no leading zeros, no IPv4-mapped IPv6 (it would name one host in two families).
import { isIPv4, isIPv6 } from "node:net";
import type { IpText, MacText, PrefixText } from "./brand.js";
import { err, ok, type Result } from "./result.js";

export type Family = 4 | 6;
export interface Address {
  readonly family: Family;
  readonly bytes: Uint8Array;
}
export interface Prefix {
  readonly family: Family;
  readonly bytes: Uint8Array;
  readonly length: number;
}

const dot = 46;
const colon = 58;

function readIPv4(text: string, bytes: Uint8Array, at: number): void {
  let octet = 0;
  let place = at;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === dot) {
      bytes[place++] = octet;
      octet = 0;
    } else octet = octet * 10 + c - 48;
  }
  bytes[place] = octet;
}

function readGroups(text: string): number[] {
  if (text === "") return [];
  const out: number[] = [];
  for (const group of text.split(":")) {
    if (group.includes(".")) {
      const four = new Uint8Array(4);
      readIPv4(group, four, 0);
      out.push(((four[0] ?? 0) << 8) | (four[1] ?? 0), ((four[2] ?? 0) << 8) | (four[3] ?? 0));
    } else out.push(Number.parseInt(group, 16));
  }
  return out;
}

function readIPv6(text: string, bytes: Uint8Array, at: number): void {
  const gap = text.indexOf("::");
  const head = readGroups(gap < 0 ? text : text.slice(0, gap));
  const tail = gap < 0 ? [] : readGroups(text.slice(gap + 2));
  const groups = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  groups.forEach((group, i) => {
    bytes[at + 2 * i] = group >> 8;
    bytes[at + 2 * i + 1] = group & 0xff;
  });
}

/** The family of an address that was checked before. */
export function familyOf(text: IpText): Family {
  for (let i = 0; i < 4; i++) {
    const c = text.charCodeAt(i);
    if (c === dot) return 4;
    if (c === colon) return 6;
  }
  return 6;
}

/** Writes an address that was checked before into 16 zeroed bytes (4 for IPv4) of `bytes`. */
export function writeAddress(
  text: IpText,
  bytes: Uint8Array,
  at: number,
  family = familyOf(text),
): void {
  if (family === 4) readIPv4(text, bytes, at);
  else readIPv6(text, bytes, at);
}

export function addressBytes(text: IpText): Uint8Array {
  const bytes = new Uint8Array(16);
  writeAddress(text, bytes, 0);
  return bytes;
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

export function parseAddress(text: string): Result<Address, string> {
  const bytes = new Uint8Array(16);
  if (isIPv4(text)) {
    readIPv4(text, bytes, 0);
    return ok({ family: 4, bytes });
  }
  if (!isIPv6(text) || text.includes("%")) return err(`${quoted(text)} is not an IP address`);
  readIPv6(text, bytes, 0);
  if (isMapped(bytes)) return err(`${quoted(text)} is an IPv4-mapped address: write it as IPv4`);
  return ok({ family: 6, bytes });
}

/** Canonical text of an address, or why it is none. */
export function parseIp(text: string): Result<IpText, string> {
  // Any IPv4 text that isIPv4 takes is canonical already: the common case costs no bytes.
  if (isIPv4(text)) return ok(text as IpText);
  const parsed = parseAddress(text);
  return parsed.ok ? ok(formatAddress(parsed.value.bytes, parsed.value.family)) : parsed;
}

/** `address/length`; without a length the whole address. Host bits may be set. */
export function parseInterfacePrefix(text: string): Result<Prefix, string> {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!address.ok)
    return slash < 0 ? address : err(`${quoted(text)} is not an address with a prefix length`);
  const bits = address.value.family === 4 ? 32 : 128;
  if (slash < 0) return ok({ ...address.value, length: bits });
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > bits) {
    return err(`${quoted(text)}: the prefix length must be 0 to ${bits}`);
  }
  return ok({ ...address.value, length: Number(digits) });
}

/** `prefix/length`; host bits must be zero, as a route or range means its whole prefix. */
export function parsePrefix(text: string): Result<Prefix, string> {
  const prefix = parseInterfacePrefix(text);
  if (!prefix.ok) return prefix;
  if (!text.includes("/")) return err(`${quoted(text)} lacks its prefix length`);
  const masked = maskPrefix(prefix.value);
  if (masked.bytes.some((b, i) => b !== prefix.value.bytes[i])) {
    return err(`${quoted(text)} has host bits set: did you mean ${formatPrefix(masked)}?`);
  }
  return prefix;
}

export function maskPrefix(prefix: Prefix): Prefix {
  const bytes = prefix.bytes.map((b, i) => {
    const bits = Math.min(8, Math.max(0, prefix.length - 8 * i));
    return b & (0xff00 >> bits) & 0xff;
  });
  return { ...prefix, bytes };
}

export function prefixHolds(prefix: Prefix, address: Address): boolean {
  if (prefix.family !== address.family) return false;
  const masked = maskPrefix({ ...address, length: prefix.length });
  return maskPrefix(prefix).bytes.every((b, i) => b === masked.bytes[i]);
}

/** Parses text that was checked before; throws otherwise. */
export function knownPrefix(text: PrefixText): Prefix {
  const prefix = parseInterfacePrefix(text);
  if (!prefix.ok) throw new Error(prefix.error);
  return prefix.value;
}

export function knownAddress(text: IpText): Address {
  return { family: familyOf(text), bytes: addressBytes(text) };
}

export function formatPrefix(prefix: Prefix): PrefixText {
  return `${formatAddress(prefix.bytes, prefix.family)}/${prefix.length}` as PrefixText;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
export function formatAddress(bytes: Uint8Array, family: number): IpText {
  if (family === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as IpText;
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0),
  );
  let best = { at: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > best.length) best = { at: i, length: run };
  }
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(":");
  if (best.at < 0) return hex(groups) as IpText;
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}` as IpText;
}

/** `address:port`, IPv6 in brackets (RFC 3986 section 3.2.2). */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

export const isLinkLocal = (a: Address): boolean =>
  a.family === 6
    ? a.bytes[0] === 0xfe && ((a.bytes[1] ?? 0) & 0xc0) === 0x80
    : a.bytes[0] === 169 && a.bytes[1] === 254;

/** Why an address cannot be one station's (RFC 1122 section 3.2.1.3, RFC 4291 section 2.4), or null. */
export function notUnicast(a: Address): string | null {
  const [first = 0] = a.bytes;
  if (a.bytes.every((b) => b === 0)) return "is the unspecified address";
  if (a.family === 4) {
    if (first === 127) return "is a loopback address";
    if (first >= 224 && first < 240) return "is a multicast address";
    if (first === 0 || first >= 240) return "is a reserved address";
    return null;
  }
  if (first === 0xff) return "is a multicast address";
  return a.bytes.subarray(0, 15).every((b) => b === 0) && a.bytes[15] === 1
    ? "is a loopback address"
    : null;
}

export function parseMac(text: string): Result<MacText, string> {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    return err(`${quoted(text)} is not a MAC address`);
  if (Number.parseInt(text.slice(0, 2), 16) & 1)
    return err(`${quoted(text)} is a group MAC address`);
  if (/^[0:]+$/.test(text)) return err(`${quoted(text)} is the zero MAC address`);
  return ok(text.toLowerCase() as MacText);
}

export function macBytes(text: MacText): Uint8Array {
  return Uint8Array.from(text.split(":"), (pair) => Number.parseInt(pair, 16));
}

export const formatMac = (bytes: Uint8Array): MacText =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(":") as MacText;

const quotedMax = 60;
/** What somebody wrote, for a one-line message: cut, control characters escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > quotedMax ? `${text.slice(0, quotedMax)}...` : text);
}
