#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "copy/engine.h"
#include "gen/layout.h"
#include "packet/batch.h"
#include "packet/frame.h"

namespace nodeplane {

// What a port can do; asked once, when it opens.
struct PortCaps {
  uint16_t queues = 1;
  uint32_t mtu = 1500;                // largest IP packet it carries, bytes
  bool partial_checksum_in = false;   // receive marks partial sums itself (virtio-net header)
  bool partial_checksum_out = false;  // transmit carries a partial sum as it is
  bool gso = false;                   // receive may give, transmit takes Packets with gso != kNone
  bool chains = false;                // transmit takes packets of several frames
  bool unknown_partial = false;       // sums may be partial without a mark (AF_XDP on veth)
  uint8_t mac[6] = {};                // of the interface, zero if it has none
  std::string description;            // e.g. "af_xdp native copy, 1 queue, need-wakeup"
};

// What opening a port asks for. `options` are the driver's own keys, checked by TypeScript.
struct PortSpec {
  std::string name;  // in the configuration
  std::string driver;
  std::string interface;  // kernel interface, file, peer name: as the driver says
  uint16_t id = 0;
  uint16_t queues = 1;
  uint32_t mtu = 0;  // 0: the interface's
  std::map<std::string, std::string> options;
  CopyEngine* copy = nullptr;  // for drivers that copy; null: they do it themselves
};

// Something that is ours, for ports that share their interface with the host (take: services).
// Protocol 0 with any port makes it a virtual address: everything to it is ours, echo and the ARP
// requests and neighbour solicitations that ask for it included. A destination with a range of
// ports is the host's own address (SNAT): the range is ours when the source is named here as well,
// the other ports are the host's whatever the source. Fragments of every address named
// here are taken by address alone, ICMP errors by the tuple inside them.
struct TakeRow {
  uint8_t family;
  uint8_t protocol;       // 0: any
  uint8_t source;         // 0: destination address and port, 1: source address and port
  uint8_t prefix_length;  // bits
  uint16_t port_low;      // host order, both inclusive; 0 and 0: any
  uint16_t port_high;
  uint8_t address[16];  // IPv4 in the first 4 bytes, the rest zero
};

// One port. Opening may fail with a reason; running may not. receive, transmit and release of one
// queue are called by one worker only; nothing here may throw.
class Port {
 public:
  virtual ~Port() = default;  // closes: sockets, programs, interfaces; frames go to the pool
  virtual const PortCaps& caps() const noexcept = 0;

  // Up to max packets: sets frame, data, length, linear, and for ports with a virtio-net header
  // flags (kFlagPartialChecksum), gso and gso_size. Everything else of the Packet is the caller's.
  // Frames are taken from `frames`; what cannot be received is counted in `counters` (count_lost).
  virtual uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                           Counters& counters) noexcept = 0;
  // Takes the first n of count packets, their frames with them, and says n. The rest stay the
  // caller's. May make the system call that its socket needs, once per call. A packet that cannot
  // leave at all (the kernel refuses it) is taken too, and told by refused().
  virtual uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                            FrameCache& frames) noexcept = 0;
  // Of the packets that the last transmit took: how many were lost instead of sent. The worker
  // counts them as refused_as, not as out.
  virtual uint32_t refused(uint32_t /*queue*/) const noexcept { return 0; }
  // By which drop they left.
  virtual Drop refused_as(uint32_t /*queue*/) const noexcept { return Drop::kNotTransmittable; }
  // Frames that the port has finished with go back.
  virtual void release(uint32_t queue, FrameCache& frames) noexcept = 0;

  // A descriptor that becomes readable when the queue has packets; -1: must be polled.
  virtual int wait_fd(uint32_t /*queue*/) const noexcept { return -1; }
  // Before sleeping: asks for a wake-up. False: there is work already, do not sleep.
  virtual bool arm(uint32_t /*queue*/) noexcept { return true; }
  // Offline ports only: the time of the next packet that receive would give or count as lost; empty
  // at the end. Never goes back; one receive gives packets of one time only.
  virtual std::optional<Time> next_time() noexcept { return std::nullopt; }
  // A replay's clock, told before transmit. Live ports need none.
  virtual void set_time(Time /*now*/) noexcept {}
  // Writes out what is buffered. What went wrong since opening (disk full, a malformed capture),
  // for people; empty: nothing. Asked by one thread while no worker uses the port.
  virtual std::string failure() noexcept { return {}; }
  // Ports that share their interface: replaces the set of what is ours. False with a reason.
  virtual bool take(std::span<const TakeRow> /*rows*/, std::string* /*error*/) noexcept {
    return true;
  }
  // The same by what differs, each row as often as it comes or goes. After a failure: take.
  virtual bool take_change(std::span<const TakeRow> /*come*/, std::span<const TakeRow> /*gone*/,
                           std::string* /*error*/) noexcept {
    return true;
  }

  // What the driver itself counts, as one JSON object; for people, off the path, from any thread.
  virtual std::string stats_json() const { return "{}"; }
  // What happened since the last call and belongs into a log; from any thread, off the path.
  virtual std::vector<std::string> news() { return {}; }
};

// The drops that receive counts: packets that came and got no further than the driver. The worker
// sees them grow and counts these packets as in.
inline constexpr Drop kReceiveDrops[] = {Drop::kNoFrame, Drop::kRxTruncated, Drop::kBadOffload,
                                         Drop::kFaultInjected};
inline void count_lost(Counters& counters, Drop why, uint64_t n = 1) noexcept {
  counters.drops[static_cast<uint32_t>(why)] += n;
}
inline uint64_t lost_in_receive(const Counters& counters) noexcept {
  uint64_t all = 0;
  for (const Drop why : kReceiveDrops) all += counters.drops[static_cast<uint32_t>(why)];
  return all;
}

// Null with a reason for people in `error`. spec.driver names a room of driver/ or is `auto`;
// the options `trace` and `fault` wrap whatever it is.
std::unique_ptr<Port> open_port(const PortSpec& spec, FrameArena& arena, std::string* error);
// What spec.driver may be.
std::vector<std::string> driver_names();

}  // namespace nodeplane
