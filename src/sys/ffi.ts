// The few calls into libc that Node does not offer.
import koffi, { type LibraryHandle } from "koffi";

const afXdp = 44;
const sockRaw = 3;

let libc: LibraryHandle | undefined;
const theLibc = (): LibraryHandle => {
  libc ??= koffi.load("libc.so.6");
  return libc;
};

/** Opens and closes an AF_XDP socket: null when the kernel gives one, else its error's name. */
export function tryAfXdp(): string | null {
  const socket = theLibc().func("int socket(int domain, int type, int protocol)");
  const close = theLibc().func("int close(int fd)");
  const fd = socket(afXdp, sockRaw, 0) as number;
  if (fd < 0) {
    const code = koffi.errno();
    const names = Object.entries(koffi.os.errno);
    return names.find(([, value]) => value === code)?.[0] ?? `errno ${code}`;
  }
  close(fd);
  return null;
}

/** The version that libbpf says it has, or null without it. */
export function libbpfVersion(): string | null {
  return fromLibrary("libbpf.so.1", "const char *libbpf_version_string()");
}

/** The DPDK release, or null when no DPDK is installed. */
export function dpdkVersion(sonames: readonly string[]): string | null {
  for (const soname of sonames) {
    const version = fromLibrary(soname, "const char *rte_version()");
    if (version !== null) return version;
  }
  return null;
}

function fromLibrary(soname: string, prototype: string): string | null {
  try {
    const library = koffi.load(soname);
    return library.func(prototype)() as string;
  } catch {
    return null; // not installed: that is the answer
  }
}
