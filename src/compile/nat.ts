// nat: who is masqueraded, and as whom (facts of kube-proxy: ClusterIP traffic is masqueraded unless
// it comes from the pods; without pod ranges there is no local-traffic detector and nothing is).
import { Masquerade, type PodRangeRow, type SnatSourceRow } from "../gen/layout.js";
import type { IpText } from "../kit/brand.js";
import { type Address, type Family, isLinkLocal, knownAddress, knownPrefix } from "../kit/ip.js";
import type { Node, Port } from "../model/port.js";

const families = [4, 6] as const;

export function masqueradeOf(node: Node): (family: Family) => number {
  const detected = new Set(node.podCIDRs.map((text) => knownPrefix(text).family));
  return (family) => (detected.has(family) ? Masquerade.notFromPods : Masquerade.never);
}

export const podRangeRows = (node: Node, network: number): PodRangeRow[] =>
  node.podCIDRs.map((text) => {
    const { bytes, family, length } = knownPrefix(text);
    return { prefix: bytes, family, prefixLength: length, network };
  });

/** The outgoing port's first address of the family, else the node's. */
export function snatSourceRows(
  ports: readonly Port[],
  node: Node,
  idOf: (port: string) => number,
): SnatSourceRow[] {
  return ports.flatMap((port) =>
    families.flatMap((family) => {
      const mine: Address[] = port.addresses.map(knownPrefix);
      const nodes = node.addresses.map((text: IpText) => knownAddress(text));
      const source = [...mine, ...nodes].find((a) => a.family === family && !isLinkLocal(a));
      return source ? [{ address: source.bytes, family, port: idOf(port.name) }] : [];
    }),
  );
}
