// What must be installed for the peers of bench veth (scripts/setup.sh --bench).
import { spawnSync } from "node:child_process";
import type { SubjectName } from "./veth_subjects.js";

const needs: Partial<Record<SubjectName, readonly string[]>> = {
  xdp_redirect: ["clang"],
  nftables: ["nft", "conntrack"],
  iptables: ["iptables-legacy-restore", "conntrack"],
};

const isInstalled = (program: string): boolean =>
  spawnSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }).status === 0;

/** What of these is not there, said for people, if something is. */
export function missing(programs: readonly string[]): string | undefined {
  const gone = programs.filter((p) => !isInstalled(p));
  return gone.length > 0
    ? `${gone.join(", ")} not installed (scripts/setup.sh --bench)`
    : undefined;
}

/** Why nothing of this can be measured, if so. */
export const needsRoot = (): string | undefined =>
  process.getuid?.() === 0 ? undefined : "needs root: network namespaces and AF_XDP sockets";

/** Subjects that cannot be measured here, and why. */
export function missingPrograms(): Map<SubjectName, string> {
  const found = new Map<SubjectName, string>();
  for (const [subject, programs] of Object.entries(needs)) {
    const why = missing(programs);
    if (why) found.set(subject as SubjectName, why);
  }
  return found;
}
