// The subjects of bench veth: one network each, and in its node a kernel with rules or a nodeplane.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { IpText, L4Port } from "../src/kit/brand.js";
import { addressBytes, macBytes } from "../src/kit/ip.js";
import type { Service } from "../src/model/model.js";
import type { NativePeerOptions } from "../src/runtime/native.js";
import { Answerer } from "./answerer.js";
import type { NodeSample } from "./af_xdp_node.js";
import { endpointsMax, services as sinkServices, virtualAddress, servicePort } from "./model.js";
import {
  address,
  backendAddresses,
  batch,
  generatorNet,
  makeNet,
  nodeCore,
  outsideCore,
  pinAll,
  runIn,
  sinkMac,
  useNapi,
  type VethNet,
} from "./veth_net.js";
import type { PeerSample, PeerWish } from "./veth_peer.js";
import { installIptables, installNftables } from "./veth_rules.js";

export const webAddress = "10.112.0.1" as IpText;
export const webPort = 80;
export const bulkAddress = "10.112.0.2" as IpText;
export const bulkPort = 5201;

export const kernelNames = ["forwarding", "xdp_redirect", "nftables", "iptables"] as const;
export const nodeplaneNames = ["af_xdp_forward", "af_xdp", "af_packet", "tap"] as const;
export type SubjectName = (typeof kernelNames)[number] | (typeof nodeplaneNames)[number];

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** One behind the backend's interface, its endpoints on as many of its addresses. */
function backendService(name: string, at: IpText, port: number, endpoints: number): Service {
  return {
    namespace: "bench",
    name,
    portName: "",
    protocol: "TCP",
    address: at,
    port: port as L4Port,
    network: "default",
    verdict: "balance",
    endpoints: backendAddresses.slice(0, endpoints).map((a) => ({
      address: a as IpText,
      port: port as L4Port,
      choosable: true,
      ready: true,
      serving: true,
      terminating: false,
      nodeName: null,
      zone: null,
      weight: 1,
      targetName: null,
    })),
  };
}

/** UDP services behind the sink, and in their midst those that the backend serves. */
export function allServices(count: number): Service[] {
  const all = sinkServices(4, count, "UDP");
  const web = backendService("web", webAddress, webPort, backendAddresses.length);
  const bulk = backendService("bulk", bulkAddress, bulkPort, 1);
  all.splice(count >> 1, 0, web, bulk);
  return all;
}

export interface SampleWish {
  readonly flows: number;
  readonly firstFlow?: number;
  readonly bytes?: number;
  readonly packetsPerSecond?: number;
  readonly warmMs: number;
  readonly sampleMs: number;
}

export class Subject {
  readonly net: VethNet;
  readonly #directory = mkdtempSync(join(tmpdir(), "nodeplane-veth-"));
  readonly #children: ChildProcess[] = [];
  #node: Answerer | undefined;
  #peer: ChildProcess | undefined;
  #tasks: string[] = [];
  #outside: string[] = [];

  constructor(
    readonly name: SubjectName,
    readonly services: number,
    index: number,
  ) {
    this.net = makeNet(index);
  }

  async open(): Promise<void> {
    const isKernel = (kernelNames as readonly string[]).includes(this.name);
    useNapi(this.net.namespaces.client, [this.net.outside.client, this.net.outside.sink]);
    useNapi(this.net.namespaces.backend, [this.net.outside.backend]);
    if (isKernel) this.#openKernel();
    else await this.#openNodeplane();
    useNapi(this.net.namespaces.node, Object.values(this.net.node));
    const napi = pinAll(this.net, !isKernel);
    const taskOf = (pid: number): string => `/proc/${pid}/task/${pid}`;
    this.#tasks = [...napi.node.map(taskOf), ...this.#workers()];
    this.#outside = napi.outside.map(taskOf);
    this.#peer = this.#spawn(this.net.namespaces.client, beside("veth_peer.js"));
  }

  #openKernel(): void {
    const { node } = this.net.namespaces;
    const n = this.net.node;
    runIn(node, "sysctl", "-qw", "net.ipv4.ip_forward=1");
    batch(node, [
      `addr add ${address.nodeClient}/24 dev ${n.client}`,
      `addr add ${address.nodeSink}/16 dev ${n.sink}`,
      `addr add ${address.nodeBackend}/16 dev ${n.backend}`,
      `route add ${generatorNet} via ${address.client} dev ${n.client}`,
      `route add 10.96.0.0/12 dev ${n.sink} via 10.1.0.2`,
      ...sinkNeighbours().map((a) => `neigh add ${a} lladdr ${sinkMac} nud permanent dev ${n.sink}`),
    ]);
    if (this.name === "nftables") installNftables(node, allServices(this.services));
    if (this.name === "iptables") installIptables(node, allServices(this.services));
    if (this.name === "nftables" || this.name === "iptables")
      runIn(node, "sysctl", "-qw", "net.netfilter.nf_conntrack_checksum=0");
    if (this.name === "xdp_redirect") this.#attachRedirect();
  }

  #attachRedirect(): void {
    const { node } = this.net.namespaces;
    const index = JSON.parse(
      execFileSync("ip", ["-n", node, "-j", "link", "show", this.net.node.sink]).toString(),
    ) as [{ ifindex: number }];
    const object = join(this.#directory, "redirect.o");
    const source = fileURLToPath(new URL("../../../bench/native/xdp_redirect.bpf.c", import.meta.url));
    const flags = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"];
    execFileSync("clang", [...flags, `-DTO=${index[0].ifindex}`, "-c", source, "-o", object], {
      stdio: "pipe",
    });
    runIn(node, "ip", "link", "set", "dev", this.net.node.client, "xdpdrv", "obj", object, "sec", "xdp");
  }

  async #openNodeplane(): Promise<void> {
    const n = this.net.node;
    const isForward = this.name === "af_xdp_forward";
    const driver = isForward ? "af_xdp" : this.name;
    const port = (side: keyof typeof n, at: string) => ({
      name: side,
      driver,
      interface: n[side],
      addresses: [at],
    });
    const config = {
      ports: [
        port("client", `${address.nodeClient}/24`),
        port("sink", `${address.nodeSink}/16`),
        port("backend", `${address.nodeBackend}/16`),
      ],
      routes: [{ to: generatorNet, via: address.client, port: "client" }],
      neighbours: sinkNeighbours().map((a) => ({ address: a, mac: sinkMac, port: "sink" })),
      flows: { capacity: 1 << 20, capacity6: 4096 },
      workers: { count: 1, mode: "interrupt", pin: [nodeCore] },
    };
    const file = join(this.#directory, "node.json");
    const services = join(this.#directory, "services.json");
    writeFileSync(file, JSON.stringify(config));
    writeFileSync(services, JSON.stringify(allServices(this.services)));
    const what = isForward ? "forward" : "corridor";
    const args = [beside("af_xdp_node.js"), file, what, ...(isForward ? [] : [services])];
    this.#node = new Answerer(this.#spawnPiped(this.net.namespaces.node, process.execPath, args));
    await this.#node.ask<NodeSample>("");
  }

  #workers(): string[] {
    const pid = this.#node?.child.pid;
    if (!pid) return [];
    return readdirSync(`/proc/${pid}/task`)
      .map((tid) => `/proc/${pid}/task/${tid}`)
      .filter((task) => readFileSync(`${task}/comm`, "utf8").startsWith("np-worker"));
  }

  #spawnPiped(namespace: string, program: string, args: readonly string[]): ChildProcess {
    const child = spawn("ip", ["netns", "exec", namespace, program, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#children.push(child);
    return child;
  }

  #spawn(namespace: string, program: string): ChildProcess {
    const command = ["netns", "exec", namespace, "taskset", "-c", String(outsideCore)];
    const child = spawn("ip", [...command, process.execPath, program], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    this.#children.push(child);
    return child;
  }

  sample(wish: SampleWish): Promise<PeerSample> {
    const { outside } = this.net;
    const spec = (name: string, at: string): NativePeerOptions["port"] => ({
      name,
      driver: process.env.GEN ?? "af_xdp",
      interface: at,
      queues: 1,
      mtu: 0,
      options: {},
    });
    const isBare = this.name === "forwarding" || this.name === "xdp_redirect" || this.name === "af_xdp_forward";
    const options: NativePeerOptions = {
      port: spec("generator", outside.client),
      back: { ...spec("sink", outside.sink), driver: process.env.SINK ?? "af_xdp" },
      mode: "both",
      ...(process.env.WINDOW ? { window: Number(process.env.WINDOW) } : {}),
      core: outsideCore,
      ...(wish.packetsPerSecond ? { packetsPerSecond: wish.packetsPerSecond } : {}),
      load: {
        dstMac: Uint8Array.from(macBytes(this.net.clientMac as never)),
        services: isBare ? endpointTarget() : packed(this.services),
        flows: wish.flows,
        firstFlow: wish.firstFlow ?? 0,
        ...(wish.bytes ? { bytes: wish.bytes } : {}),
      },
    };
    const { warmMs, sampleMs } = wish;
    const peerWish: PeerWish = { options, warmMs, sampleMs, tasks: this.#tasks, outside: this.#outside };
    const peer = this.#peer as ChildProcess;
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(`the generator of ${this.name} ended`));
      peer.once("exit", ended);
      peer.once("message", (answer: PeerSample | { error: string }) => {
        peer.off("exit", ended);
        if ("error" in answer) reject(new Error(answer.error));
        else resolve(answer);
      });
      peer.send(peerWish);
    });
  }

  async close(): Promise<void> {
    this.#peer?.disconnect();
    await this.#node?.end();
    for (const child of this.#children) child.kill("SIGKILL");
    this.net.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function sinkNeighbours(): string[] {
  return Array.from({ length: endpointsMax }, (_, i) => `10.1.0.${i + 2}`);
}

function packed(count: number): Uint8Array {
  const bytes = Buffer.alloc(count * 18);
  for (let i = 0; i < count; i++) {
    bytes.set(addressBytes(virtualAddress(4, i)), i * 18);
    bytes.writeUInt16BE(servicePort, i * 18 + 16);
  }
  return bytes;
}

function endpointTarget(): Uint8Array {
  const bytes = Buffer.alloc(18);
  bytes.set(addressBytes("10.1.0.2" as IpText));
  bytes.writeUInt16BE(8000, 16);
  return bytes;
}
