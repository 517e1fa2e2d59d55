// Which endpoints may receive new flows: kube-proxy's rules (pkg/proxy/topology.go).
import type { Node } from "../model/port.js";
import type { Verdict } from "../model/service.js";

/** What the choice looks at. */
export interface Candidate {
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName: string | null;
  readonly forZones: readonly string[];
  readonly forNodes: readonly string[];
}

const isFallback = (c: Candidate): boolean => c.serving && c.terminating;

/** Ready ones; if there are none, those that still serve while they terminate. */
function usable<C extends Candidate>(candidates: readonly C[]): C[] {
  const ready = candidates.filter((c) => c.ready);
  return ready.length > 0 ? ready : candidates.filter(isFallback);
}

/** Hints count only when every ready endpoint has them and one names this place. */
function byHints<C extends Candidate>(ready: readonly C[], node: Node): readonly C[] {
  const here = (hints: (c: C) => readonly string[], place: string): C[] | null => {
    if (place === "" || !ready.every((c) => hints(c).length > 0)) return null;
    const chosen = ready.filter((c) => hints(c).includes(place));
    return chosen.length > 0 ? chosen : null;
  };
  return here((c) => c.forNodes, node.name) ?? here((c) => c.forZones, node.zone) ?? ready;
}

export function choose<C extends Candidate>(
  candidates: readonly C[],
  policy: "Cluster" | "Local",
  node: Node,
): { chosen: ReadonlySet<C>; verdict: Verdict } {
  const anywhere = usable(candidates);
  if (policy === "Cluster") {
    const ready = anywhere.filter((c) => c.ready);
    const chosen = ready.length > 0 ? byHints(ready, node) : anywhere;
    return { chosen: new Set(chosen), verdict: chosen.length > 0 ? "balance" : "reject" };
  }
  const local = usable(candidates.filter((c) => node.name !== "" && c.nodeName === node.name));
  if (local.length > 0) return { chosen: new Set(local), verdict: "balance" };
  return { chosen: new Set(), verdict: anywhere.length > 0 ? "drop" : "reject" };
}
