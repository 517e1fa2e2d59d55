// The subjects of bench veth: one network each, and in its node a kernel with rules or a nodeplane.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { MacText } from "../src/kit/brand.js";
import { atEnd } from "./at_end.js";
import { Asked, root } from "./programs.js";
import {
  address,
  batch,
  generatorNet,
  makeNet,
  moveOutside,
  nodeCore,
  type Outside,
  outsideCore,
  ownPriority,
  pinAll,
  prioritizeWorker,
  runIn,
  type Side,
  sinkMac,
  useNapi,
  type VethNet,
} from "./veth_net.js";
import type { NodeFacts } from "./veth_node.js";
import type { PeerSample, PeerWish, Tasks } from "./veth_peer.js";
import { installIptables, installNftables } from "./veth_rules.js";
import { allServices, sinkAddresses } from "./veth_services.js";

export const kernelNames = ["forwarding", "xdp_redirect", "nftables", "iptables"] as const;
export const nodeplaneNames = ["af_xdp_forward", "af_xdp", "af_packet", "tap"] as const;
export type SubjectName = (typeof kernelNames)[number] | (typeof nodeplaneNames)[number];

export const isKernel = (name: SubjectName): boolean =>
  (kernelNames as readonly string[]).includes(name);
const hasRules = (name: SubjectName): boolean => name === "nftables" || name === "iptables";
/** Those that only forward: no service, no flow. */
export const isBare = (name: SubjectName): boolean =>
  name === "forwarding" || name === "xdp_redirect" || name === "af_xdp_forward";

/** The namespaces. */
type Place = "client" | "node" | "backend";

const workerTries = 6000;
const tapName = (side: Side): string => `t${side}`;

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const taskOf = (pid: number, tid = pid): string => `/proc/${pid}/task/${tid}`;
/** Where others work too, generator or node may get no turn in so short a time as a sample: they try again. */
const sampleMsMax = 30_000;

export interface SampleWish {
  readonly flows: number;
  readonly firstFlow?: number;
  readonly packetsPerSecond?: number;
  readonly warmMs: number;
  readonly sampleMs: number;
}

export class Subject {
  readonly net: VethNet;
  readonly #directory = mkdtempSync(join(tmpdir(), "nodeplane-veth-"));
  readonly #children: ChildProcess[] = [];
  readonly #forget: () => void;
  #node: Asked | undefined;
  #peer: Asked | undefined;
  tasks: Tasks = { node: [], workers: [], outside: [] };
  /** Of a nodeplane. */
  facts: NodeFacts | undefined;

  private constructor(
    readonly name: SubjectName,
    readonly services: number,
    index: number,
  ) {
    this.net = makeNet(index);
    this.#forget = atEnd(() => this.#remove());
  }

  /** `index`: tells the subjects of one run apart. */
  static async open(
    name: SubjectName,
    services: number,
    index: number,
    outside: Outside = "first",
  ): Promise<Subject> {
    const subject = new Subject(name, services, index);
    try {
      if (isKernel(name)) subject.#openKernel();
      else await subject.#openNodeplane();
      if (name === "tap") subject.#moveTaps();
      else await subject.#pin(outside);
      return subject;
    } catch (cause) {
      subject.#remove();
      throw cause;
    }
  }

  async #pin(way: Outside): Promise<void> {
    const { namespaces, node, outside } = this.net;
    useNapi(namespaces.client, [outside.client, outside.sink]);
    useNapi(namespaces.backend, [outside.backend]);
    useNapi(namespaces.node, Object.values(node));
    const napi = pinAll(this.net, way);
    const workers = await this.#workers();
    // To af_packet NAPI gives packets one by one: it would be interrupted for each.
    if (this.name !== "af_packet") workers.forEach(prioritizeWorker);
    this.tasks = {
      node: napi.node.map((pid) => taskOf(pid)),
      workers: workers.map((tid) => taskOf(this.facts?.pid ?? 0, tid)),
      outside: napi.outside.map((pid) => taskOf(pid)),
    };
  }

  #moveTaps(): void {
    moveOutside(this.net, "client", tapName("client"));
    moveOutside(this.net, "backend", tapName("backend"));
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
      ...sinkAddresses.map((a) => `neigh add ${a} lladdr ${sinkMac} nud permanent dev ${n.sink}`),
    ]);
    if (this.name === "nftables") installNftables(node, allServices(this.services));
    if (this.name === "iptables") installIptables(node, allServices(this.services));
    // A network card would have checked the sums that conntrack otherwise checks in software.
    if (hasRules(this.name)) runIn(node, "sysctl", "-qw", "net.netfilter.nf_conntrack_checksum=0");
    if (this.name === "xdp_redirect") this.#attachRedirect();
  }

  #attachRedirect(): void {
    const { node } = this.net.namespaces;
    const to = readIn(node, `/sys/class/net/${this.net.node.sink}/ifindex`);
    const object = join(this.#directory, "redirect.o");
    const source = join(root, "bench/native/xdp_redirect.bpf.c");
    const headers = ["-I/usr/include/x86_64-linux-gnu", "-I/usr/include/aarch64-linux-gnu"];
    const flags = ["-O2", "-g", "-target", "bpf", ...headers, `-DTO=${to}`];
    execFileSync("clang", [...flags, "-c", source, "-o", object], { stdio: "pipe" });
    const program = ["xdpdrv", "obj", object, "sec", "xdp"];
    runIn(node, "ip", "link", "set", "dev", this.net.node.client, ...program);
  }

  async #openNodeplane(): Promise<void> {
    const n = this.net.node;
    const isForward = this.name === "af_xdp_forward";
    const driver = isForward ? "af_xdp" : this.name;
    const port = (side: Side, at: string) => ({
      name: side,
      driver,
      interface: driver === "tap" ? tapName(side) : n[side],
      addresses: [at],
    });
    const config = {
      ports: [
        port("client", `${address.nodeClient}/24`),
        port("sink", `${address.nodeSink}/16`),
        port("backend", `${address.nodeBackend}/16`),
      ],
      routes: [{ to: generatorNet, via: address.client, port: "client" }],
      neighbours: sinkAddresses.map((a) => ({ address: a, mac: sinkMac, port: "sink" })),
      // The flows of one sample of new ones are gone before the next, as those of the kernel are.
      flows: { capacity: 1 << 19, capacity6: 4096, timers: { udpUnreplied: "2s" } },
      workers: { count: 1, mode: "interrupt", pin: [nodeCore] },
    };
    const file = join(this.#directory, "node.json");
    const services = join(this.#directory, "services.json");
    writeFileSync(file, JSON.stringify(config));
    writeFileSync(services, JSON.stringify(allServices(this.services)));
    const what = isForward ? "forward" : "corridor";
    const script = [beside("veth_node.js"), file, what, ...(isForward ? [] : [services])];
    this.#node = this.#ask("node", nodeCore, script);
    this.facts = JSON.parse(await this.#node.ask("")) as NodeFacts;
  }

  /** A thread has its name once it runs, which may be later than the node's first answer. */
  async #workers(): Promise<number[]> {
    const pid = this.facts?.pid;
    if (!pid) return [];
    for (let i = 0; i < workerTries; i++) {
      const found = readdirSync(`/proc/${pid}/task`)
        .map(Number)
        .filter((tid) => readFileSync(`${taskOf(pid, tid)}/comm`, "utf8").startsWith("np-worker"));
      if (found.length > 0) return found;
      await sleep(10);
    }
    throw new Error(`no worker runs in ${this.name}`);
  }

  #command(where: Place, core: number, command: readonly string[]): string[] {
    const before = ["taskset", "-c", String(core), "setpriv", "--pdeathsig", "KILL"];
    return ["netns", "exec", this.net.namespaces[where], ...before, ...command];
  }

  #ask(where: Place, core: number, script: readonly string[]): Asked {
    return new Asked("ip", this.#command(where, core, [process.execPath, ...script]));
  }

  /** Real-time threads of one priority wait for each other: what asks the generator goes before it. */
  #askFirst(where: Place, core: number, script: readonly string[]): Asked {
    const { realTime } = ownPriority();
    const before = realTime > 0 ? ["chrt", "-r", String(realTime + 1)] : [];
    return new Asked("ip", this.#command(where, core, [...before, process.execPath, ...script]));
  }

  /** A program on one core of one namespace, which ends with the subject. Nobody hears what it says. */
  spawn(where: Place, core: number, command: readonly string[]): void {
    this.#children.push(spawn("ip", this.#command(where, core, command), { stdio: "ignore" }));
  }

  /** Forgets what conntrack knows: the next flows are new. */
  forgetFlows(): void {
    if (hasRules(this.name)) runIn(this.net.namespaces.node, "conntrack", "-F");
  }

  async sample(wish: SampleWish): Promise<PeerSample> {
    const { outside, clientMac } = this.net;
    this.#peer ??= this.#askFirst("client", outsideCore, [beside("veth_peer.js")]);
    const all: PeerWish = {
      firstFlow: 0,
      packetsPerSecond: 0,
      ...wish,
      port: outside.client,
      back: outside.sink,
      dstMac: clientMac as MacText,
      services: isBare(this.name) ? 0 : this.services,
      tasks: this.tasks,
    };
    for (const until = performance.now() + sampleMsMax; performance.now() < until; ) {
      const found = JSON.parse(await this.#peer.ask(JSON.stringify(all))) as PeerSample;
      if (found.received > 0 && found.cpuNs > 0) return found;
    }
    throw new Error(`no packet arrived (${this.name})`);
  }

  #remove(): void {
    this.#forget?.();
    for (const child of this.#children) child.kill("SIGKILL");
    this.net.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#peer?.close();
    await this.#node?.close();
    this.#remove();
  }
}

const readIn = (namespace: string, file: string): string => runIn(namespace, "cat", file).trim();
