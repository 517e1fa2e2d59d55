// What this machine offers, as facts. Nothing is changed; what cannot be read is said.
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, release, totalmem } from "node:os";
import { gunzipSync } from "node:zlib";
import { messageOf } from "../kit/error.js";
import { type DsaQueue, dsaQueues } from "./dsa.js";
import { dpdkVersion, libbpfVersion, tryAfXdp } from "./ffi.js";
import { cpuFlags, list, missingCapabilities, read } from "./machine.js";

export interface Fact {
  readonly name: string;
  /** True: fine; false: something is missing; null: neither good nor bad. */
  readonly ok: boolean | null;
  readonly value: string;
  /** What it is needed for, or how to get it. */
  readonly advice: string;
}

const needed = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_BPF"] as const;

function kernelConfig(): string | null {
  try {
    if (existsSync("/proc/config.gz"))
      return gunzipSync(readFileSync("/proc/config.gz")).toString();
  } catch (caught) {
    return `# ${messageOf(caught)}`;
  }
  return read(`/boot/config-${release()}`);
}

function kernelFact(): Fact {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const isEnough = major > 5 || (major === 5 && minor >= 10);
  return { name: "kernel", ok: isEnough, value: release(), advice: "AF_XDP wants 5.10 or later" };
}

function optionsFact(): Fact {
  const config = kernelConfig();
  const name = "kernel options";
  if (config === null)
    return {
      name,
      ok: null,
      value: "not readable",
      advice: "neither /proc/config.gz nor /boot/config",
    };
  const wanted = [
    "CONFIG_XDP_SOCKETS",
    "CONFIG_BPF_SYSCALL",
    "CONFIG_VETH",
    "CONFIG_TUN",
    "CONFIG_PACKET",
  ];
  const off = wanted.filter((option) => !new RegExp(`^${option}=[ym]`, "m").test(config));
  const value = off.length === 0 ? wanted.join(" ") : `without ${off.join(" ")}`;
  return { name, ok: off.length === 0, value, advice: "AF_XDP, veth, tap and packet sockets" };
}

function afXdpFact(): Fact {
  const name = "AF_XDP";
  try {
    const why = tryAfXdp();
    if (why === null) return { name, ok: true, value: "socket opens", advice: "" };
    const advice =
      why === "EPERM" ? "run as root, or with CAP_NET_RAW" : "the kernel lacks CONFIG_XDP_SOCKETS";
    return { name, ok: false, value: `socket: ${why}`, advice };
  } catch (caught) {
    return { name, ok: null, value: messageOf(caught), advice: "libc could not be called" };
  }
}

function capabilityFact(): Fact {
  const missing = missingCapabilities(needed);
  const advice = "run as root, or setcap cap_net_admin,cap_net_raw,cap_ipc_lock,cap_bpf+ep on node";
  if (missing.length === 0)
    return { name: "capabilities", ok: true, value: "all that is needed", advice: "" };
  return { name: "capabilities", ok: false, value: `without ${missing.join(" ")}`, advice };
}

function lockFact(): Fact {
  const soft =
    /^Max locked memory\s+(\S+)/m.exec(read("/proc/self/limits") ?? "")?.[1] ?? "unknown";
  const isFree = soft === "unlimited" || !missingCapabilities(needed).includes("CAP_IPC_LOCK");
  const value = soft === "unlimited" || soft === "unknown" ? soft : `${Number(soft) >> 20} MiB`;
  return {
    name: "locked memory",
    ok: isFree,
    value,
    advice: isFree ? "" : "ulimit -l unlimited, for the frames",
  };
}

function pagesFact(): Fact {
  const info = read("/proc/meminfo") ?? "";
  const number = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(info)?.[1] ?? 0);
  const total = number("HugePages_Total");
  const value = `${number("HugePages_Free")} of ${total} free, ${number("Hugepagesize")} KiB each`;
  return {
    name: "huge pages",
    ok: total > 0 || null,
    value,
    advice: total > 0 ? "" : "optional: sysctl vm.nr_hugepages=64",
  };
}

function cpuFact(): Fact {
  const flags = cpuFlags();
  const known = ["sse4_2", "avx2", "avx512bw", "avx512vl", "asimd", "crc32", "movdir64b", "enqcmd"];
  const value = `${availableParallelism()} usable, ${known.filter((f) => flags.has(f)).join(" ") || "baseline"}`;
  return { name: "CPUs", ok: null, value, advice: "the fastest kernels are chosen at start" };
}

function dpdkFact(): Fact {
  const folders = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib",
    "/usr/lib64",
  ];
  const found = folders.flatMap((f) =>
    list(f)
      .filter((n) => /^librte_eal\.so\.\d+$/.test(n))
      .map((n) => `${f}/${n}`),
  );
  const version = dpdkVersion([...found, "librte_eal.so"]);
  return {
    name: "DPDK",
    ok: version !== null || null,
    value: version ?? "not installed",
    advice: version ? "" : "optional: libdpdk-dev",
  };
}

export interface DsaFact extends Fact {
  /** Every work queue. */
  readonly dsa: readonly DsaQueue[];
}

function dsaFact(): DsaFact {
  const dsa = dsaQueues();
  const usable = dsa.filter((q) => q.usable).length;
  const counted =
    dsa.length === 0 ? "no work queue" : `${usable} of ${dsa.length} work queues usable`;
  return {
    name: "DSA",
    ok: usable > 0 || (dsa.length > 0 ? false : null),
    value: counted,
    advice: usable > 0 ? "" : "optional: Intel Data Streaming Accelerator (docs/dsa.md)",
    dsa,
  };
}

function libbpfFact(): Fact {
  const version = libbpfVersion();
  return {
    name: "libbpf",
    ok: version !== null,
    value: version ?? "not installed",
    advice: version ? "" : "scripts/setup.sh installs it",
  };
}

const memoryFact = (): Fact => ({
  name: "memory",
  ok: null,
  value: `${Math.round(totalmem() / 2 ** 20)} MiB`,
  advice: "",
});

/** Every fact, in the order in which a reader needs them. */
export const examine = (): (Fact | DsaFact)[] => [
  kernelFact(),
  optionsFact(),
  afXdpFact(),
  libbpfFact(),
  capabilityFact(),
  lockFact(),
  memoryFact(),
  pagesFact(),
  cpuFact(),
  dpdkFact(),
  dsaFact(),
];
