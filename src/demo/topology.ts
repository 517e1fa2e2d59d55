// Network namespaces of the demo: a client, the node, and servers, joined by veth pairs. The node's
// ends carry no kernel address: they belong to nodeplane.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readdirSync } from "node:fs";

export interface Server {
  readonly name: string;
  readonly namespace: string;
  /** Interface on the node's side. */
  readonly port: string;
  readonly address4: string;
  readonly address6: string;
}

export interface Topology {
  readonly client: string;
  readonly node: string;
  readonly servers: readonly Server[];
  remove(): void;
}

export const clientNet = {
  node4: "192.0.2.1",
  client4: "192.0.2.2",
  node6: "2001:db8:2::1",
  client6: "2001:db8:2::2",
} as const;

const serverNet4 = (i: number): string => `10.1.${i}`;
const serverNet6 = (i: number): string => `fd00:1:${i}`;

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Runs a program in a namespace; its pid is the child's own. */
export function spawnIn(namespace: string, command: string, args: readonly string[]): ChildProcess {
  return spawn("ip", ["netns", "exec", namespace, command, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Lines of ip(8) in a namespace, by one process: there are many, and each start takes its time. */
function batch(namespace: string, lines: readonly string[]): void {
  execFileSync("ip", ["-n", namespace, "-batch", "-"], {
    input: lines.join("\n"),
    stdio: ["pipe", "ignore", "pipe"],
  });
}

// A veth pair: `inside` in the host's namespace with addresses, `port` in the node's without.
function join(
  node: string,
  port: string,
  namespace: string,
  inside: { address4: string; address6: string; gateway4: string; gateway6: string },
): void {
  batch(node, [
    `link add ${port} type veth peer name eth0 netns ${namespace}`,
    `link set ${port} up`,
  ]);
  batch(namespace, [
    "link set lo up",
    "link set eth0 up",
    `addr add ${inside.address4}/24 dev eth0`,
    `addr add ${inside.address6}/64 dev eth0 nodad`,
    `route add default via ${inside.gateway4}`,
    `route add ::/0 via ${inside.gateway6}`,
  ]);
}

/** Removes what an earlier run left behind when it was killed: namespaces of processes that are gone. */
export function removeStale(): void {
  let names: string[];
  try {
    names = readdirSync("/run/netns");
  } catch {
    return; // no namespace was ever made here
  }
  for (const name of names) {
    const pid = /^np-[a-z]+-(\d+)-/.exec(name)?.[1];
    if (!pid) continue;
    try {
      process.kill(Number(pid), 0);
    } catch {
      try {
        ip("netns", "del", name);
      } catch {
        // another process removes it too
      }
    }
  }
}

/** `tag`: small letters; tells several topologies of one process apart. */
export function createTopology(serverCount: number, tag = "demo"): Topology {
  removeStale();
  const own = (what: string): string => `np-${tag}-${process.pid}-${what}`;
  const made: string[] = [];
  const remove = (): void => {
    for (const name of made.splice(0).reverse()) {
      try {
        ip("netns", "del", name);
      } catch {
        // gone already
      }
    }
  };
  try {
    const client = own("client");
    const node = own("node");
    for (const name of [client, node]) {
      ip("netns", "add", name);
      made.push(name);
    }
    batch(node, ["link set lo up"]);
    // The node's kernel must not speak IPv6 on nodeplane's ports.
    execFileSync("ip", [
      "netns",
      "exec",
      node,
      "sysctl",
      "-qw",
      "net.ipv6.conf.default.disable_ipv6=1",
    ]);
    join(node, "client", client, {
      address4: clientNet.client4,
      address6: clientNet.client6,
      gateway4: clientNet.node4,
      gateway6: clientNet.node6,
    });
    const servers: Server[] = [];
    for (let i = 1; i <= serverCount; i++) {
      const server: Server = {
        name: `server-${i}`,
        namespace: own(`server-${i}`),
        port: `srv${i}`,
        address4: `${serverNet4(i)}.2`,
        address6: `${serverNet6(i)}::2`,
      };
      ip("netns", "add", server.namespace);
      made.push(server.namespace);
      join(node, server.port, server.namespace, {
        address4: server.address4,
        address6: server.address6,
        gateway4: `${serverNet4(i)}.1`,
        gateway6: `${serverNet6(i)}::1`,
      });
      servers.push(server);
    }
    return { client, node, servers, remove };
  } catch (cause) {
    remove();
    throw cause;
  }
}

/** The node's configuration for this topology; `manifests` and `pods` are paths relative to it. */
export function configuration(
  t: Topology,
  driver: string,
  socket: string,
  manifests: string,
  pods: { socket: string; address4: string },
): string {
  const ports = [
    { name: "client", addresses: [`${clientNet.node4}/24`, `${clientNet.node6}/64`] },
    ...t.servers.map((s, i) => ({
      name: s.port,
      addresses: [`${serverNet4(i + 1)}.1/24`, `${serverNet6(i + 1)}::1/64`],
    })),
  ];
  return [
    "ports:",
    ...ports.map(
      (p) =>
        `  - { name: ${p.name}, driver: ${driver}, addresses: [${p.addresses.map((a) => `"${a}"`).join(", ")}] }`,
    ),
    `  - { name: pods, driver: memif, socket: ${pods.socket}, addresses: [${pods.address4}/24] }`,
    `node: { name: node-a, addresses: ["${clientNet.node4}"] }`,
    `manifests: [${manifests}]`,
    `control: { socket: ${socket} }`,
    "workers: { count: 1, mode: adaptive }",
    "flows: { survive: never }",
    "",
  ].join("\n");
}
