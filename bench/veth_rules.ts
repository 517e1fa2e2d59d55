// Services as kube-proxy writes them into the kernel, in its mode nftables (proxier of 1.31: maps to
// chains of services, numgen to chains of endpoints) and in its mode iptables. Without a pod CIDR
// nothing is masqueraded but what an endpoint sends to itself, as here in nodeplane.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Service } from "../src/model/model.js";

/** Services of one transaction: larger ones take time that grows with their square. */
const servicesPerPiece = 500;

/** As kube-proxy makes them unique. */
const hashOf = (text: string): string =>
  createHash("sha256").update(text).digest("base64url").replace(/[-_]/g, "X").slice(0, 16);

const names = (service: Service) => {
  const protocol = service.protocol.toLowerCase();
  const path = `${service.namespace}/${service.name}/${protocol}/p`;
  return { protocol, path };
};

const nftHead = `
add table ip kube-proxy
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict; }
add set ip kube-proxy cluster-ips { type ipv4_addr; }
add set ip kube-proxy nodeport-ips { type ipv4_addr; }
add chain ip kube-proxy mark-for-masquerade
add rule ip kube-proxy mark-for-masquerade meta mark set meta mark or 0x4000
add chain ip kube-proxy masquerading
add rule ip kube-proxy masquerading meta mark and 0x4000 == 0 return
add rule ip kube-proxy masquerading meta mark set meta mark xor 0x4000
add rule ip kube-proxy masquerading masquerade fully-random
add chain ip kube-proxy services
add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
add chain ip kube-proxy service-endpoints-check
add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
add chain ip kube-proxy firewall-check
add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
add chain ip kube-proxy cluster-ips-check
add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject
add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority dstnat; }
add rule ip kube-proxy nat-prerouting jump services
add chain ip kube-proxy nat-output { type nat hook output priority -100; }
add rule ip kube-proxy nat-output jump services
add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority srcnat; }
add rule ip kube-proxy nat-postrouting jump masquerading
add chain ip kube-proxy filter-prerouting { type filter hook prerouting priority -110; }
add rule ip kube-proxy filter-prerouting ct state new jump firewall-check
add chain ip kube-proxy filter-forward { type filter hook forward priority -110; }
add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
`;

function nftService(service: Service): string[] {
  const { protocol, path } = names(service);
  const chain = `service-${hashOf(path).slice(0, 8)}-${path}`;
  const lines: string[] = [];
  const targets = service.endpoints.map((e, i) => {
    const to = `${e.address}:${e.port}`;
    const name = `endpoint-${hashOf(path + to).slice(0, 8)}-${path}__${e.address}/${e.port}`;
    lines.push(
      `add chain ip kube-proxy ${name}`,
      `add rule ip kube-proxy ${name} ip saddr ${e.address} jump mark-for-masquerade`,
      `add rule ip kube-proxy ${name} meta l4proto ${protocol} dnat to ${to}`,
    );
    return `${i} : goto ${name}`;
  });
  lines.push(
    `add chain ip kube-proxy ${chain}`,
    `add rule ip kube-proxy ${chain} numgen random mod ${targets.length} vmap { ${targets.join(", ")} }`,
    `add element ip kube-proxy cluster-ips { ${service.address} }`,
    `add element ip kube-proxy service-ips { ${service.address} . ${protocol} . ${service.port} : goto ${chain} }`,
  );
  return lines;
}

/** Transactions in their order. */
export function nftables(services: readonly Service[]): string[] {
  const pieces = [nftHead];
  for (let i = 0; i < services.length; i += servicesPerPiece)
    pieces.push(
      services
        .slice(i, i + servicesPerPiece)
        .flatMap(nftService)
        .join("\n"),
    );
  return pieces;
}

const filterTable = `*filter
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL
-A FORWARD -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT`;
const natHead = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]`;
const natHooks = `-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000`;

/** For iptables-restore. */
export function iptables(services: readonly Service[]): string {
  const chains: string[] = [];
  const rules: string[] = [];
  for (const service of services) {
    const { protocol, path } = names(service);
    const chain = `KUBE-SVC-${hashOf(path)}`;
    const comment = `-m comment --comment "${service.namespace}/${service.name}"`;
    chains.push(`:${chain} - [0:0]`);
    rules.push(
      `-A KUBE-SERVICES -d ${service.address}/32 -p ${protocol} ${comment} -m ${protocol} --dport ${service.port} -j ${chain}`,
    );
    service.endpoints.forEach((e, i) => {
      const to = `${e.address}:${e.port}`;
      const endpoint = `KUBE-SEP-${hashOf(path + to)}`;
      const left = service.endpoints.length - i;
      const chance = `-m statistic --mode random --probability ${(1 / left).toFixed(10)} `;
      chains.push(`:${endpoint} - [0:0]`);
      rules.push(
        `-A ${chain} ${comment} ${left > 1 ? chance : ""}-j ${endpoint}`,
        `-A ${endpoint} -s ${e.address}/32 ${comment} -j KUBE-MARK-MASQ`,
        `-A ${endpoint} -p ${protocol} ${comment} -m ${protocol} -j DNAT --to-destination ${to}`,
      );
    });
  }
  return [filterTable, natHead, ...chains, natHooks, ...rules, "COMMIT", ""].join("\n");
}

function runWith(namespace: string, input: string, program: string, ...args: string[]): void {
  const all = ["netns", "exec", namespace, program, ...args];
  const run = spawnSync("ip", all, { input, maxBuffer: 64 << 20 });
  if (run.status === 0) return;
  throw new Error(`${program}: ${run.stderr?.toString().slice(0, 500)}`);
}

export function installNftables(namespace: string, services: readonly Service[]): void {
  const directory = mkdtempSync(join(tmpdir(), "nodeplane-nft-"));
  try {
    for (const piece of nftables(services)) {
      const file = join(directory, "piece.nft");
      writeFileSync(file, piece);
      runWith(namespace, "", "nft", "-f", file);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The kernel's own iptables, which costs less per rule than the translation to nftables. */
export function installIptables(namespace: string, services: readonly Service[]): void {
  runWith(namespace, iptables(services), "iptables-legacy-restore");
}
