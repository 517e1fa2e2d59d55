// What this machine offers, as facts. Nothing is changed; what cannot be read is said.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, release, totalmem } from "node:os";
import { gunzipSync } from "node:zlib";
import { messageOf } from "../kit/error.js";
import { dpdkVersion, libbpfVersion, tryAfXdp } from "./ffi.js";

export interface Fact {
  readonly name: string;
  /** True: fine; false: something is missing; null: neither good nor bad. */
  readonly ok: boolean | null;
  readonly value: string;
  /** What it is needed for, or how to get it. */
  readonly advice: string;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Of capability.h. */
const capabilities = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_IPC_LOCK: 14, CAP_BPF: 39 } as const;

function missingCapabilities(): string[] {
  const mask = BigInt(
    `0x${/^CapEff:\s*([0-9a-f]+)/m.exec(read("/proc/self/status") ?? "")?.[1] ?? "0"}`,
  );
  return Object.entries(capabilities)
    .filter(([, bit]) => (mask & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
}

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
  const missing = missingCapabilities();
  const advice = "run as root, or setcap cap_net_admin,cap_net_raw,cap_ipc_lock,cap_bpf+ep on node";
  if (missing.length === 0)
    return { name: "capabilities", ok: true, value: "all that is needed", advice: "" };
  return { name: "capabilities", ok: false, value: `without ${missing.join(" ")}`, advice };
}

function lockFact(): Fact {
  const soft =
    /^Max locked memory\s+(\S+)/m.exec(read("/proc/self/limits") ?? "")?.[1] ?? "unknown";
  const isFree = soft === "unlimited" || !missingCapabilities().includes("CAP_IPC_LOCK");
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
  const flags = new Set(
    /^(?:flags|Features)\s*:\s*(.*)$/m.exec(read("/proc/cpuinfo") ?? "")?.[1]?.split(" "),
  );
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

function dsaFact(): Fact {
  const devices = list("/sys/bus/dsa/devices").filter((d) => /^dsa\d+$/.test(d));
  const queues = list("/dev/dsa");
  const value =
    devices.length === 0
      ? "no device"
      : `${devices.join(" ")}, work queues: ${queues.join(" ") || "none"}`;
  return {
    name: "DSA",
    ok: devices.length > 0 || null,
    value,
    advice: devices.length > 0 ? "" : "optional: Intel Data Streaming Accelerator",
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
export const examine = (): Fact[] => [
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
