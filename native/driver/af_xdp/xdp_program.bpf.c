// The XDP program of a port. What is ours goes to the socket bound to its queue; while none is
// bound (a killed process) it is dropped and never given to the kernel, which would answer RST.
// take all: everything is ours. take services: the maps below say what is; the rest passes to the
// kernel. It only looks at what it must: nodeplane's parse stage is the one that checks packets.
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "xdp_take.h"

#define VLAN_MAX 2       // tags
#define EXTENSION_MAX 8  // IPv6 extension headers, as in parse
#define ETHER_HEADER 14
#define IP4_HEADER 20
#define IP6_HEADER 40
#define ICMP_HEADER 8
#define OFFSET_MAX 0x3fff  // where a header may start: bounds that the verifier asks for

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, TAKE_QUEUE_MAX);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct take_settings);
} settings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);  // set when it is loaded
  __type(key, struct take_host);
  __type(value, struct take_what);
} hosts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct take_prefix);
  __type(value, struct take_what);
} prefixes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct take_port);
  __type(value, __u8);
} ports SEC(".maps");

// Constant once loaded: the verifier removes the branch that is not taken.
const volatile __u32 take_services = 0;

enum how {
  BY_PORTS,    // source_port and destination_port were read
  BY_ADDRESS,  // a fragment, or cut short: the ports are unknown, the address alone decides
  BY_PROTOCOL  // a protocol without ports
};

struct tuple {
  __u8 source[16];
  __u8 destination[16];
  __u16 source_port;  // network order
  __u16 destination_port;
  __u8 family;
  __u8 protocol;
  __u8 how;
};

static __always_inline struct take_what* find(const struct take_host* host) {
  struct take_what* what = bpf_map_lookup_elem(&hosts, host);
  if (what) return what;
  const __u32 zero = 0;
  const struct take_settings* set = bpf_map_lookup_elem(&settings, &zero);
  if (!set || !set->prefixes) return 0;
  struct take_prefix prefix = {.family = host->family, .side = host->side};
  prefix.bits = TAKE_PREFIX_BITS + (host->family == 4 ? 32 : 128);
  __builtin_memcpy(prefix.address, host->address, 16);
  return bpf_map_lookup_elem(&prefixes, &prefix);
}

// Global functions are verified once, by themselves, and not again with every path that calls them.
__attribute__((noinline)) int is_whole(const struct take_host* host) {
  if (!host) return 0;
  const struct take_what* what = find(host);
  return what && what->whole;
}

static __always_inline int is_whole_at(const __u8* address, __u8 family) {
  struct take_host host = {.family = family, .side = TAKE_DESTINATION};
  __builtin_memcpy(host.address, address, family == 4 ? 4 : 16);
  return is_whole(&host);
}

// A destination with port ranges is the host's own address, of which only those ports may be ours:
// masqueraded clients wear them, so what comes to them from an endpoint is.
enum match { NO, YES, SHARED_IN_RANGE, SHARED };

__attribute__((noinline)) int matches(const struct tuple* t, __u32 side) {
  if (!t) return NO;
  struct take_host host = {.family = t->family, .side = side};
  __builtin_memcpy(host.address, side == TAKE_SOURCE ? t->source : t->destination, 16);
  const __u16 be_port = side == TAKE_SOURCE ? t->source_port : t->destination_port;
  const struct take_what* what = find(&host);
  if (!what) return NO;
  const int shared = side == TAKE_DESTINATION && what->count != 0;
  if (what->whole) return YES;
  if (t->how == BY_ADDRESS) return shared ? SHARED_IN_RANGE : YES;
  if (what->ports && t->how == BY_PORTS) {
    struct take_port port = {
        .family = t->family, .side = side, .protocol = t->protocol, .be_port = be_port};
    __builtin_memcpy(port.address, host.address, 16);
    if (bpf_map_lookup_elem(&ports, &port)) return YES;
  }
  const __u16 number = bpf_ntohs(be_port);
#pragma unroll
  for (int i = 0; i < TAKE_RANGE_MAX; i++) {
    const struct take_range* range = &what->ranges[i];
    if (i < what->count && range->protocol == t->protocol && number >= range->low &&
        number <= range->high)
      return shared ? SHARED_IN_RANGE : YES;
  }
  return shared ? SHARED : NO;
}

// An offset, or 0 when it is beyond any header. The compiler may not look through it, so that the
// register which is compared is the one that is used, as the verifier needs it.
static __always_inline __u64 bounded(__u64 offset) {
  barrier_var(offset);
  return offset > OFFSET_MAX ? 0 : offset;
}

// Both read the header that starts `l3` bytes into the packet and say where the next one starts,
// 0 when there is none to look at. t->family stays 0 when it is not IP at all.
static __always_inline __u32 read_ip4(__u8* data, __u8* end, __u64 l3, struct tuple* t) {
  const __u8* at = data + l3;
  if (at + IP4_HEADER > end || (at[0] >> 4) != 4) return 0;
  t->family = 4;
  t->protocol = at[9];
  __builtin_memcpy(t->source, at + 12, 4);
  __builtin_memcpy(t->destination, at + 16, 4);
  // More fragments, or an offset: any fragment, the first included (RFC 791 section 3.1).
  if ((at[6] & 0x3f) | at[7]) t->how = BY_ADDRESS;
  const __u32 length = (at[0] & 0x0f) * 4;
  return length < IP4_HEADER ? 0 : l3 + length;
}

static __always_inline __u32 read_ip6(__u8* data, __u8* end, __u64 l3, struct tuple* t) {
  const __u8* at = data + l3;
  if (at + IP6_HEADER > end || (at[0] >> 4) != 6) return 0;
  t->family = 6;
  __u8 next = at[6];
  __builtin_memcpy(t->source, at + 8, 16);
  __builtin_memcpy(t->destination, at + 24, 16);
  at += IP6_HEADER;
#pragma unroll
  for (int i = 0; i < EXTENSION_MAX; i++) {
    const int fragment = next == 44, authentication = next == 51;
    if (next != 0 && next != 43 && next != 60 && !fragment && !authentication) break;
    if (at + 8 > end) {
      t->how = BY_ADDRESS;
      return 0;
    }
    next = at[0];
    // RFC 8200 section 4.5; offset and flag zero is the whole packet (RFC 6946).
    if (fragment && (at[2] | (at[3] & 0xf9))) {
      t->how = BY_ADDRESS;
      t->protocol = next;
      return 0;
    }
    // The authentication header counts in 4 bytes, less 2 (RFC 4302 section 2.2).
    at += fragment ? 8 : authentication ? ((__u32)at[1] + 2) * 4 : ((__u32)at[1] + 1) * 8;
  }
  t->protocol = next;
  return at - data;
}

__attribute__((noinline)) int read_ip(struct xdp_md* context, __u32 l3, __u32 family,
                                      struct tuple* t) {
  if (!t) return 0;
  __u8* data = (__u8*)(long)context->data;
  __u8* end = (__u8*)(long)context->data_end;
  const __u64 offset = bounded(l3);
  return family == 4 ? read_ip4(data, end, offset, t) : read_ip6(data, end, offset, t);
}

static __always_inline int is_icmp(const struct tuple* t) {
  return t->protocol == (t->family == 4 ? 1 : 58);
}

// The header behind IP, null when less than 8 bytes of it are there.
static __always_inline __u8* header_at(struct xdp_md* context, __u32 l4) {
  const __u64 offset = bounded(l4);
  __u8* at = (__u8*)(long)context->data + offset;
  if (offset == 0) return 0;
  return at + ICMP_HEADER > (__u8*)(long)context->data_end ? 0 : at;
}

// The ports, or the identifier of an echo as both of them.
static __always_inline void read_ports(const __u8* at, struct tuple* t) {
  if (t->how != BY_PORTS) return;
  const int has_ports = t->protocol == 6 || t->protocol == 17 || t->protocol == 132;
  if (!has_ports && !is_icmp(t)) {
    t->how = BY_PROTOCOL;
  } else if (!at) {
    t->how = BY_ADDRESS;
  } else if (has_ports) {
    __builtin_memcpy(&t->source_port, at, 2);
    __builtin_memcpy(&t->destination_port, at + 2, 2);
  } else if (t->family == 4 ? at[0] == 8 || at[0] == 0 : at[0] == 128 || at[0] == 129) {
    __builtin_memcpy(&t->source_port, at + 4, 2);
    t->destination_port = t->source_port;
  } else {
    t->how = BY_PROTOCOL;
  }
}

// Destination unreachable, source quench, time exceeded, parameter problem; ICMPv6: all errors are
// below 128 (RFC 4443 section 2.1).
static __always_inline int is_error(const struct tuple* t, __u8 type) {
  if (t->family == 6) return type < 128;
  return type == 3 || type == 4 || type == 11 || type == 12;
}

static __always_inline int is_ours_tuple(const struct tuple* t) {
  const int to = matches(t, TAKE_DESTINATION);
  if (to == YES || to == SHARED) return to == YES;
  return matches(t, TAKE_SOURCE) == YES;
}

// The packet inside an ICMP error travelled the other way: turned round it is a tuple as any other.
static __always_inline int is_ours_inner(struct xdp_md* context, __u32 l3, __u8 family) {
  struct tuple inner = {};
  const __u32 l4 = read_ip(context, l3, family, &inner);
  if (!inner.family) return 0;
  read_ports(header_at(context, l4), &inner);
  struct tuple turned = {.source_port = inner.destination_port,
                         .destination_port = inner.source_port,
                         .family = inner.family,
                         .protocol = inner.protocol,
                         .how = inner.how};
  __builtin_memcpy(turned.source, inner.destination, 16);
  __builtin_memcpy(turned.destination, inner.source, 16);
  return is_ours_tuple(&turned);
}

static __always_inline int is_ours_ip(struct xdp_md* context, __u32 l3, __u8 family) {
  struct tuple t = {};
  const __u32 l4 = read_ip(context, l3, family, &t);
  if (!t.family) return 0;
  const __u8* at = header_at(context, l4);
  if (t.how == BY_PORTS && is_icmp(&t) && at) {
    const __u8 type = at[0];
    if (family == 6 && type >= 133 && type <= 137 && type != 136) {
      // Neighbour discovery is the kernel's, but for who asks for a virtual address. (An
      // advertisement goes on below: it is ours when it was sent to a virtual address.)
      const __u8* end = (__u8*)(long)context->data_end;
      if (type != 135 || at + ICMP_HEADER + 16 > end) return 0;
      return is_whole_at(at + ICMP_HEADER, 6);
    }
    if (is_error(&t, type))
      return is_whole_at(t.destination, family) || is_ours_inner(context, l4 + ICMP_HEADER, family);
  }
  read_ports(at, &t);
  return is_ours_tuple(&t);
}

// ARP (RFC 826) for Ethernet and IPv4: what names a virtual address as its target.
static __always_inline int is_ours_arp(const __u8* at, const __u8* end) {
  if (at + 28 > end) return 0;
  return is_whole_at(at + 24, 4);
}

static __always_inline int is_ours(struct xdp_md* context) {
  const __u8* data = (__u8*)(long)context->data;
  const __u8* end = (__u8*)(long)context->data_end;
  if (data + ETHER_HEADER > end) return 0;
  __u16 type = (data[12] << 8) | data[13];
  __u32 l3 = ETHER_HEADER;
#pragma unroll
  for (int i = 0; i < VLAN_MAX; i++) {
    if (type != 0x8100 && type != 0x88a8) break;
    if (data + l3 + 4 > end) return 0;
    type = (data[l3 + 2] << 8) | data[l3 + 3];
    l3 += 4;
  }
  if (type == 0x0800) return is_ours_ip(context, l3, 4);
  if (type == 0x86dd) return is_ours_ip(context, l3, 6);
  if (type == 0x0806) return is_ours_arp(data + l3, end);
  return 0;
}

SEC("xdp")
int nodeplane_xdp(struct xdp_md* context) {
  if (take_services && !is_ours(context)) return XDP_PASS;
  return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_DROP);
}

char licence[] SEC("license") = "Apache-2.0";
