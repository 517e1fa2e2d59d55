// A tree of files such as the idxd driver shows (Documentation/ABI/stable/sysfs-driver-dma-idxd).
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface FakeQueue {
  readonly name: string;
  readonly [file: string]: string | number | null;
}

const write = (folder: string, files: Record<string, string | number | null>): void => {
  mkdirSync(folder, { recursive: true });
  for (const [file, value] of Object.entries(files))
    if (value !== null) writeFileSync(join(folder, file), `${value}\n`);
};

/** Null hides a file. Devices are links to folders that hold their queues', as in sysfs. */
export function writeDevice(
  sysfs: string,
  name: string,
  queues: readonly FakeQueue[],
  files: Record<string, string | number | null> = {},
): void {
  const folder = join(sysfs, "..", "fake", name);
  write(folder, {
    version: "0x100",
    state: "enabled",
    numa_node: 0,
    max_batch_size: 1024,
    max_transfer_size: 2147483648,
    max_work_queues: 8,
    max_work_queues_size: 128,
    max_engines: 4,
    max_groups: 4,
    gen_cap: "0x40915f0107",
    pasid_enabled: 1,
    clients: 0,
    cmd_status: "0x0", // the library resets it
    configurable: 1,
    ...files,
  });
  mkdirSync(sysfs, { recursive: true });
  symlinkSync(folder, join(sysfs, name));
  for (const { name: queue, ...more } of queues) {
    write(join(folder, queue), {
      name: "app",
      type: "user",
      mode: "dedicated",
      state: "enabled",
      driver_name: "user",
      size: 32,
      threshold: 0,
      group_id: 0,
      priority: 10,
      block_on_fault: 0,
      max_batch_size: 32,
      max_transfer_size: 2097152,
      cdev_minor: 0,
      clients: 0,
      ats_disable: 0,
      ...more,
    });
    symlinkSync(join(folder, queue), join(sysfs, queue));
  }
}

/** One queue of every kind, usable and not. */
export function writeWorld(sysfs: string, dev: string): void {
  writeDevice(sysfs, "dsa0", [
    { name: "wq0.0", block_on_fault: 1, clients: 1, size: 16 },
    { name: "wq0.1", mode: "shared", size: 64, threshold: 48, group_id: 1 },
    { name: "wq0.2", type: "kernel", driver_name: "dmaengine" },
    {
      name: "wq0.3",
      type: "none",
      state: "disabled",
      mode: "dedicated",
      group_id: -1,
      size: 0,
      driver_name: null,
    },
    { name: "wq0.4" },
    { name: "wq0.5", max_batch_size: null },
    { name: "wq0.10", size: 8 },
  ]);
  writeDevice(sysfs, "dsa2", [{ name: "wq2.0" }], {
    state: "disabled",
    numa_node: -1,
    max_transfer_size: 65536,
  });
  writeDevice(sysfs, "dsa4", [{ name: "wq4.0" }], { pasid_enabled: 0 });
  writeDevice(sysfs, "iax1", [{ name: "wq1.0" }]);
  mkdirSync(dev, { recursive: true });
  for (const name of ["wq0.0", "wq0.1", "wq0.2", "wq0.5", "wq0.10", "wq1.0", "wq2.0", "wq4.0"])
    writeFileSync(join(dev, name), Buffer.alloc(4096));
  rmSync(join(dev, "wq0.4"), { force: true });
}
