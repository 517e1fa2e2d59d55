// The smallest parts of a configuration: each is the one place where its text becomes its type.
import { z } from "zod";
import type { IpText, MacText, PrefixText } from "../kit/brand.js";
import { parseDuration } from "../kit/clock.js";
import {
  formatAddress,
  formatPrefix,
  notUnicast,
  type Prefix,
  parseAddress,
  parseInterfacePrefix,
  parseMac,
  parsePrefix,
} from "../kit/ip.js";
import { err, ok, type Result } from "../kit/result.js";
import { kindOf } from "./yaml.js";

/** A field read by a function of ours, whose message is the problem's. */
export function field<T>(parse: (raw: unknown) => Result<T, string>) {
  return z.unknown().transform((raw, context): T => {
    const read: Result<T, string> = raw === undefined ? err("is required") : parse(raw);
    if (read.ok) return read.value;
    context.issues.push({ code: "custom", message: read.error, input: raw });
    return z.NEVER;
  });
}

export function textField<T>(what: string, parse: (text: string) => Result<T, string>) {
  return field<T>((raw) =>
    typeof raw === "string" ? parse(raw) : err(`must be ${what}, not ${kindOf(raw)}`),
  );
}

export const ip = textField<IpText>("an IP address", (text) => {
  const address = parseAddress(text);
  if (!address.ok) return address;
  const why = notUnicast(address.value);
  return why ? err(`${text} ${why}`) : ok(formatAddress(address.value.bytes, address.value.family));
});

/** The network's own and the broadcast address are no station's (RFC 1122 section 3.2.1.3). */
function notStation(prefix: Prefix): string | null {
  const why = notUnicast(prefix);
  if (why || prefix.family === 6 || prefix.length >= 31) return why;
  const bits = prefix.bytes.reduce((sum, b, i) => (i < 4 ? sum * 256 + b : sum), 0);
  const host = bits % 2 ** (32 - prefix.length);
  if (host === 0) return "is the network's own address";
  return host === 2 ** (32 - prefix.length) - 1 ? "is the network's broadcast address" : null;
}

export const interfacePrefix = textField<PrefixText>("an address with a prefix length", (text) => {
  const prefix = parseInterfacePrefix(text);
  if (!prefix.ok) return prefix;
  const why = notStation(prefix.value);
  return why ? err(`${text} ${why}`) : ok(formatPrefix(prefix.value));
});

export const prefix = textField<PrefixText>("a prefix such as 10.1.0.0/24", (text) => {
  const parsed = parsePrefix(text);
  return parsed.ok ? ok(formatPrefix(parsed.value)) : parsed;
});

export const mac = textField<MacText>("a MAC address", parseMac);

export const duration = field<number>(parseDuration);

export const nameMax = 63;
export const name = textField<string>("a name", (text) =>
  new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${nameMax - 1}}$`).test(text)
    ? ok(text)
    : err(`must be a name of letters, digits, ".", "_" and "-", at most ${nameMax} long`),
);

const pathMax = 4096;
export const path = textField<string>("a path", (text) =>
  text.length > 0 && text.length < pathMax && !text.includes("\0")
    ? ok(text)
    : err("must be a path"),
);

/** INIT carries so many bytes (facts of memif 2.0), padded with zeros. */
export const secretBytesMax = 24;
export const secret = textField<string>("text", (text) => {
  const bytes = Buffer.byteLength(text);
  return bytes >= 1 && bytes <= secretBytesMax && !text.includes("\0")
    ? ok(text)
    : err(`must be 1 to ${secretBytesMax} bytes`);
});

export const workQueue = textField<string>("a DSA work queue", (text) =>
  /^wq\d{1,5}\.\d{1,5}$/.test(text) ? ok(text) : err("must be a DSA work queue such as wq0.0"),
);

export const portRange = textField<{ low: number; high: number }>("a port range", (text) => {
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text);
  const low = Number(match?.[1]);
  const high = Number(match?.[2]);
  return match && low >= 1 && low <= high && high <= 65535
    ? ok({ low, high })
    : err('must be a port range such as "1024-29999", within 1-65535');
});

export const hex128 = textField<string>("32 hex digits", (text) =>
  /^[0-9a-f]{32}$/i.test(text) ? ok(text.toLowerCase()) : err("must be 32 hex digits"),
);

export const whole = (low: number, high: number) =>
  field<number>((raw) =>
    typeof raw === "number" && Number.isInteger(raw) && raw >= low && raw <= high
      ? ok(raw)
      : err(`must be a whole number from ${low} to ${high}, not ${kindOf(raw)}`),
  );

export const amount = (low: number, high: number) =>
  field<number>((raw) =>
    typeof raw === "number" && raw >= low && raw <= high
      ? ok(raw)
      : err(`must be a number from ${low} to ${high}, not ${kindOf(raw)}`),
  );

export const powerOfTwo = (low: number, high: number) =>
  field<number>((raw) =>
    typeof raw === "number" && raw >= low && raw <= high && Number.isInteger(Math.log2(raw))
      ? ok(raw)
      : err(`must be a power of two from ${low} to ${high}, not ${kindOf(raw)}`),
  );

export const share = field<number>((raw) =>
  typeof raw === "number" && raw >= 0 && raw <= 1 ? ok(raw) : err("must be a number from 0 to 1"),
);

export const flag = field<boolean>((raw) =>
  typeof raw === "boolean" ? ok(raw) : err(`must be true or false, not ${kindOf(raw)}`),
);

export const oneOf = <const T extends string>(...values: readonly T[]) =>
  field<T>((raw) =>
    values.includes(raw as T)
      ? ok(raw as T)
      : err(`must be one of ${values.join(", ")}, not ${kindOf(raw)}`),
  );

export const oneOfNumber = (...values: readonly number[]) =>
  field<number>((raw) =>
    values.includes(raw as number)
      ? ok(raw as number)
      : err(`must be one of ${values.join(", ")}, not ${kindOf(raw)}`),
  );
