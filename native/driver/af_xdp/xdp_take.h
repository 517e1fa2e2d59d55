#ifndef NODEPLANE_XDP_TAKE_H
#define NODEPLANE_XDP_TAKE_H
// What the XDP program and the driver both know: the keys and values of the maps that say what is
// ours. C and C++. Addresses are 16 bytes, IPv4 in the first 4 and the rest zero.
#include <linux/types.h>

#define TAKE_NAME "nodeplane_xdp"  // of the program; at most 15 characters (BPF_OBJ_NAME_LEN)
#define TAKE_QUEUE_MAX 64          // queues of one port
#define TAKE_RANGE_MAX 8           // port ranges of one address

enum take_side { TAKE_DESTINATION = 0, TAKE_SOURCE = 1 };

// One address in one role.
struct take_host {
  __u8 address[16];
  __u8 family;  // 4 or 6
  __u8 side;    // enum take_side
  __u8 pad[2];
};

// The same for a prefix, as longest prefix match wants it: the bits count from `family`.
struct take_prefix {
  __u32 bits;
  __u8 family;
  __u8 side;
  __u8 pad[2];
  __u8 address[16];
};
#define TAKE_PREFIX_BITS 32  // of a take_prefix before its address

struct take_range {
  __u16 low;  // host order, both inclusive
  __u16 high;
  __u8 protocol;
  __u8 pad;
};

// What is ours of an address.
struct take_what {
  __u8 whole;  // everything
  __u8 ports;  // some single ports, see take_port
  __u8 count;  // of ranges
  __u8 pad;
  struct take_range ranges[TAKE_RANGE_MAX];
};

// A single port of an address.
struct take_port {
  __u8 address[16];
  __u8 family;
  __u8 side;
  __u8 protocol;
  __u8 pad;
  __u16 be_port;
  __u16 pad2;
};

struct take_settings {
  __u32 prefixes;  // how many there are: without any they are not looked at
};

#endif
