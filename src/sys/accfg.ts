// DSA work queues as Intel's library tells them (accel-config, libaccel_config.h 3.5).
import koffi, { type LibraryHandle } from "koffi";
import type { DsaFacts, DsaRoots } from "./dsa_facts.js";
import { read } from "./machine.js";

const soname = "libaccel-config.so.1";
const dsaType = 0; // ACCFG_DEVICE_DSA
const deviceEnabled = 1; // ACCFG_DEVICE_ENABLED
const modes = ["shared", "dedicated"];
const states = ["disabled", "enabled", "quiescing", "locked"];
const types = ["none", "kernel", "user"];

type Handle = unknown;
type Call = (handle: Handle) => unknown;

/** Functions of one handle, by the C type they return. */
const getters = {
  uint64_t: ["device_get_max_transfer_size", "wq_get_size", "wq_get_max_transfer_size"],
  int: [
    "device_get_type",
    "device_get_state",
    "device_get_numa_node",
    "device_get_max_batch_size",
    "wq_get_mode",
    "wq_get_state",
    "wq_get_type",
    "wq_get_group_id",
    "wq_get_priority",
    "wq_get_threshold",
    "wq_get_clients",
    "wq_get_block_on_fault",
    "wq_get_max_batch_size", // -1: hidden
  ],
  "const char *": ["device_get_devname", "wq_get_devname", "wq_get_driver_name"],
  "void *": ["device_get_first", "device_get_next", "wq_get_first", "wq_get_next"],
} as const;
type Name = (typeof getters)[keyof typeof getters][number];

function callsOf(library: LibraryHandle): Record<Name, Call> {
  const calls: Partial<Record<Name, Call>> = {};
  for (const [type, names] of Object.entries(getters)) {
    for (const name of names) calls[name] = library.func(`${type} accfg_${name}(void *handle)`);
  }
  return calls as Record<Name, Call>;
}

function* walk(first: Handle, next: Call): Generator<Handle> {
  for (let handle = first; handle !== null; handle = next(handle)) yield handle;
}

function queueOf(calls: Record<Name, Call>, roots: DsaRoots, of: Handle, wq: Handle): DsaFacts {
  const number = (name: Name, handle: Handle): number => Number(calls[name](handle));
  const text = (name: Name, handle: Handle): string => (calls[name](handle) as string | null) ?? "";
  const name = text("wq_get_devname", wq);
  const device = text("device_get_devname", of);
  return {
    name,
    device,
    deviceEnabled: number("device_get_state", of) === deviceEnabled,
    // accfg_device_get_pasid_enabled of 3.5.3 says yes whatever the file says.
    pasidEnabled: read(`${roots.sysfs}/${device}/pasid_enabled`)?.trim() === "1",
    numaNode: number("device_get_numa_node", of),
    type: types[number("wq_get_type", wq)] ?? "unknown",
    mode: modes[number("wq_get_mode", wq)] ?? "unknown",
    state: states[number("wq_get_state", wq)] ?? "unknown",
    driver: text("wq_get_driver_name", wq),
    size: number("wq_get_size", wq),
    threshold: number("wq_get_threshold", wq),
    group: number("wq_get_group_id", wq),
    priority: number("wq_get_priority", wq),
    blockOnFault: number("wq_get_block_on_fault", wq) === 1,
    batchMax: Math.max(
      Math.min(number("wq_get_max_batch_size", wq), number("device_get_max_batch_size", of)),
      0,
    ),
    transferMax: Math.min(
      number("wq_get_max_transfer_size", wq),
      number("device_get_max_transfer_size", of),
    ),
    clients: number("wq_get_clients", wq),
    path: `${roots.dev}/${name}`,
  };
}

/** Null without the library. It looks at /sys/bus/dsa/devices, wherever `roots` point. */
export function queuesOfLibrary(roots: DsaRoots): DsaFacts[] | null {
  let library: LibraryHandle;
  let calls: Record<Name, Call>;
  try {
    library = koffi.load(soname);
    calls = callsOf(library);
  } catch {
    return null; // not installed, or another one: that is the answer
  }
  const context: [Handle] = [null];
  if (library.func("int accfg_new(_Out_ void **context)")(context) !== 0) return null;
  try {
    const queues: DsaFacts[] = [];
    for (const device of walk(calls.device_get_first(context[0]), calls.device_get_next)) {
      if (Number(calls.device_get_type(device)) !== dsaType) continue;
      for (const wq of walk(calls.wq_get_first(device), calls.wq_get_next))
        queues.push(queueOf(calls, roots, device, wq));
    }
    return queues;
  } finally {
    library.func("void *accfg_unref(void *context)")(context[0]);
  }
}
