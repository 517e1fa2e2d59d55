// Small questions to /proc and /sys. What cannot be read is null or empty.
import { readdirSync, readFileSync } from "node:fs";

export function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

export function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

export const cpuFlags = (): ReadonlySet<string> =>
  new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(read("/proc/cpuinfo") ?? "")?.[1]?.split(" "));

/** Of capability.h. */
export const capabilities = {
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_RAWIO: 17,
  CAP_BPF: 39,
} as const;
export type Capability = keyof typeof capabilities;

export function missingCapabilities(wanted: readonly Capability[]): Capability[] {
  const text = /^CapEff:\s*([0-9a-f]+)/m.exec(read("/proc/self/status") ?? "")?.[1] ?? "0";
  const mask = BigInt(`0x${text}`);
  return wanted.filter((name) => (mask & (1n << BigInt(capabilities[name]))) === 0n);
}
