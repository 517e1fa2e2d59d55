// Stories: packets told in words (test/story/*.md). Every story runs through `replay`, in this world:
// clients behind a gateway on port `client`, endpoints on port `backends`, all neighbours known.
import { parse } from "yaml";
import { describe } from "./decode.js";
import { manifest, type ServiceWish } from "./kubernetes.js";
import type { Captured } from "./pcap.js";
import { imbalance, replay } from "./replay.js";
import { type Setting, tell, ttlSent } from "./words.js";

export interface Story {
  title: string;
  lines: { verb: "given" | "in" | "out" | "count"; words: string }[];
}
/** What was told and what happened, in the same words. */
export interface Outcome {
  out: Record<string, string[]>;
  counts: Record<string, number>;
  imbalance: number;
}

const portNames = ["client", "backends"] as const;
type PortName = (typeof portNames)[number];
const macs: Record<PortName, string> = {
  client: "02:00:00:00:00:01",
  backends: "02:00:00:00:00:02",
};
const ownAddresses: Record<string, PortName> = {
  "192.0.2.1": "client",
  "2001:db8:2::1": "client",
  "10.1.0.1": "backends",
  "fd00:1::1": "backends",
};
const gateways = ["192.0.2.254", "2001:db8:2::fe"];
const stepUs = 1000; // between two packets that say no time

/** The stories of a file: a heading each, and below it the lines of an indented block. */
export function readStories(markdown: string): Story[] {
  const stories: Story[] = [];
  for (const line of markdown.split("\n")) {
    const title = /^## (.+)/.exec(line)?.[1];
    if (title) stories.push({ title, lines: [] });
    const told = /^ {4}(given|in|out|count)\s+(.+)$/.exec(line);
    if (told) stories.at(-1)?.lines.push({ verb: told[1] as "in", words: (told[2] ?? "").trim() });
    else if (/^ {4}\S/.test(line))
      throw new Error(`a story's line begins with given, in, out or count: ${line}`);
  }
  return stories;
}

const sideOf = (address: string): PortName =>
  /^(10\.1\.0\.|fd00:1:)/.test(address) ? "backends" : "client";
const isOnLink = (address: string): boolean =>
  /^(10\.1\.0\.|192\.0\.2\.|fd00:1:|2001:db8:2:)/.test(address);

/** An address's own MAC, or its gateway's. */
function macOf(address: string): string {
  const own = ownAddresses[address];
  if (own) return macs[own];
  if (!isOnLink(address)) return macOf(address.includes(":") ? "2001:db8:2::fe" : "192.0.2.254");
  const text = address.split(/[.:]/).at(-1) ?? "";
  const last = address.includes(":") ? Number.parseInt(text, 16) : Number(text);
  const low = (last & 255).toString(16).padStart(2, "0");
  return `02:00:00:00:${sideOf(address) === "client" ? "01" : "02"}:${low}`;
}

function setting(direction: "in" | "out"): Setting {
  return {
    ttl: direction === "in" ? ttlSent : ttlSent - 1,
    mac: macOf,
    link: (source, destination, on) => {
      const port =
        macs[(on as PortName | undefined) ?? sideOf(direction === "in" ? source : destination)];
      return direction === "in"
        ? { source: macOf(source), destination: port }
        : { source: port, destination: macOf(destination) };
    },
  };
}

function tellFrames(
  direction: "in" | "out",
  words: string,
): { port: PortName; at?: number; frames: Uint8Array[] } {
  const told = tell(words, setting(direction));
  const port =
    (told.on as PortName | undefined) ?? sideOf(direction === "in" ? told.from : told.to);
  const frames = Array<Uint8Array>(told.times).fill(told.frame);
  return { port, frames, ...(told.at !== undefined && { at: told.at }) };
}

// --- the world before the packets --------------------------------------------------------------

interface World {
  config: Record<string, unknown>;
  services: ServiceWish[];
  neighbours: Set<string>;
}

function split(endpoint: string): [string, number] {
  const match = /^\[?(.+?)\]?:(\d+)$/.exec(endpoint);
  if (!match) throw new Error(`${endpoint} is not address:port`);
  return [match[1] ?? "", Number(match[2])];
}

// service NAME ADDRESS:PORT[/PROTOCOL][, …] (with endpoint[s] ADDRESS:PORT [not ready | draining][, …] | without endpoints)
function giveService(words: string, world: World): void {
  const match = /^(\S+) (.+?) (?:with endpoints? (.+)|without endpoints)$/.exec(words);
  if (!match) throw new Error(`a service is told otherwise: ${words}`);
  const fronts = (match[2] ?? "").split(/, */).map((front) => {
    const [endpoint, protocol = "tcp"] = front.split("/");
    return { front: split(endpoint ?? ""), protocol: protocol.toUpperCase() as "TCP" };
  });
  const backs = (match[3] ?? "")
    .split(/, */)
    .filter(Boolean)
    .map((back) => {
      const [endpoint, ...how] = back.split(" ");
      return { back: split(endpoint ?? ""), how: how.join(" ") };
    });
  const { front, protocol } = fronts[0] ?? {
    front: ["", 0] as [string, number],
    protocol: "TCP" as const,
  };
  world.services.push({
    name: match[1] ?? "",
    addresses: fronts.map((f) => f.front[0]),
    ports: [{ protocol, port: front[1], targetPort: backs[0]?.back[1] ?? front[1] }],
    endpoints: backs.map(({ back, how }) => ({
      address: back[0],
      ready: how === "",
      terminating: how === "draining",
    })),
  });
  for (const { back } of backs) world.neighbours.add(back[0]);
}

function give(words: string, world: World): void {
  const [what = "", ...rest] = words.split(" ");
  const [key = "", ...value] = rest;
  if (what === "service") giveService(rest.join(" "), world);
  else if (what === "neighbour") world.neighbours.add(key);
  else if (words === "no neighbours") world.neighbours.clear();
  else if (what === "pods")
    (world.config.node as Record<string, unknown>).podCIDRs = rest.join("").split(",");
  else if (what === "port") Object.assign(portOf(world, key), parse(value.join(" ")));
  else if (what === "config") {
    const path = key.split(".");
    let at = world.config;
    for (const step of path.slice(0, -1)) {
      at[step] ??= {};
      at = at[step] as Record<string, unknown>;
    }
    at[path.at(-1) ?? ""] = parse(value.join(" "));
  } else throw new Error(`nothing like this can be given: ${words}`);
}

function portOf(world: World, name: string): Record<string, unknown> {
  const port = (world.config.ports as Record<string, unknown>[]).find((p) => p.name === name);
  if (!port) throw new Error(`there is no port ${name}`);
  return port;
}

function worldOf(story: Story): World {
  const config = {
    ports: [
      {
        name: "client",
        driver: "pcap",
        addresses: ["192.0.2.1/24", "2001:db8:2::1/64"],
        mac: macs.client,
      },
      {
        name: "backends",
        driver: "pcap",
        addresses: ["10.1.0.1/24", "fd00:1::1/64"],
        mac: macs.backends,
      },
    ],
    routes: [
      { to: "198.51.100.0/24", via: gateways[0], port: "client" },
      { to: "2001:db8:51::/48", via: gateways[1], port: "client" },
    ],
    node: { name: "node-a", addresses: ["192.0.2.1"] },
    manifests: ["services.json"],
  };
  const world: World = { config, services: [], neighbours: new Set(gateways) };
  for (const line of story.lines) if (line.verb === "given") give(line.words, world);
  world.config.neighbours = [...world.neighbours].map((address) => ({
    address,
    mac: macOf(address),
    port: sideOf(address),
  }));
  return world;
}

// --- the run -----------------------------------------------------------------------------------

/** What the story says must come out. Of the counts, drops are told completely: others are none. */
export function told(story: Story): Outcome {
  const outcome: Outcome = { out: { client: [], backends: [] }, counts: {}, imbalance: 0 };
  for (const { verb, words } of story.lines) {
    if (verb === "out") {
      const { port, frames } = tellFrames("out", words);
      outcome.out[port]?.push(...frames.map(describe));
    }
    const count = verb === "count" && /^(\w+) \+?(\d+)$/.exec(words);
    if (count) outcome.counts[count[1] ?? ""] = Number(count[2]);
    else if (verb === "count") throw new Error(`a count is told as NAME +N: ${words}`);
  }
  return outcome;
}

/** Runs the story's packets through `replay`. */
export async function happened(story: Story): Promise<Outcome> {
  const world = worldOf(story);
  const inputs = new Map<PortName, Captured[]>(portNames.map((port) => [port, []]));
  let now = 0;
  for (const { words } of story.lines.filter((line) => line.verb === "in")) {
    const { port, at, frames } = tellFrames("in", words);
    now = at ?? now + stepUs;
    for (const frame of frames) inputs.get(port)?.push({ at: now, frame });
  }
  const files = { "services.json": manifest(world.services) };
  const { report, out } = await replay(world.config, files, inputs, portNames);
  const all: Record<string, number> = {
    ...report.counters,
    consumed: report.consumed,
    originated: report.originated,
    flows: report.flows.length,
  };
  const counts = Object.fromEntries(Object.entries(report.drops).filter(([, n]) => n > 0));
  for (const name of Object.keys(told(story).counts)) counts[name] ??= all[name] ?? 0;
  return {
    out: Object.fromEntries(
      portNames.map((port) => [port, (out.get(port) ?? []).map((c) => describe(c.frame))]),
    ),
    counts,
    imbalance: imbalance(report),
  };
}
