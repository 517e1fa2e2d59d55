// AF_XDP on a veth pair between two namespaces, with real packets.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <xdp/xsk.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>

#include "af_xdp_kit.h"
#include "driver/af_xdp/napi.h"

namespace nodeplane {
namespace {

class AfXdpMode : public testing::TestWithParam<const char*> {};

TEST_P(AfXdpMode, CarriesPacketsBothWays) {
  NEEDS_AF_XDP();
  PortKit kit(8192);
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena, {{"mode", GetParam()}});
  ASSERT_NE(port, nullptr) << error;
  EXPECT_NE(port->caps().description.find(std::string("af_xdp ") + GetParam() + " copy, 1 queue"),
            std::string::npos)
      << port->caps().description;
  EXPECT_EQ(port->caps().mtu, 1500u);
  EXPECT_EQ(port->caps().mac[5], 1);
  EXPECT_TRUE(port->caps().unknown_partial);
  EXPECT_FALSE(port->caps().chains);

  std::vector<Bytes> sent;
  for (uint32_t i = 0; i < 1000; ++i) sent.push_back(numbered(i, 60 + i % 1455));
  for (uint32_t i = 0; i < 1000; i += 200) {  // the veth's ring holds 256
    const std::vector<Bytes> some(sent.begin() + i, sent.begin() + i + 200);
    for (const Bytes& one : some) ASSERT_TRUE(peer.send(one));
    EXPECT_EQ(receive_all(kit, *port, some.size()), some);
  }

  for (uint32_t i = 0; i < 1000; i += 250) {
    const std::vector<Bytes> some(sent.begin() + i, sent.begin() + i + 250);
    EXPECT_EQ(kit.send(*port, some), 250u);
    for (const Bytes& one : some) EXPECT_EQ(peer.receive(), one);
  }
  EXPECT_EQ(stat_of(*port, "rxDropped"), 0u);
  EXPECT_EQ(stat_of(*port, "txInvalidDescriptors"), 0u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 0u);
}
INSTANTIATE_TEST_SUITE_P(Modes, AfXdpMode, testing::Values("native", "generic"));

TEST(AfXdp, AutoIsNativeOnVethAndCopies) {
  NEEDS_AF_XDP();
  PortKit kit(8192, 4096);
  Wire wire;
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  EXPECT_EQ(port->caps().description.rfind("af_xdp native copy, 1 queue, need-wakeup, take all", 0),
            0u)
      << port->caps().description;
  RawSocket peer(wire.peer, "np1");
  ASSERT_TRUE(peer.send(numbered(7)));
  EXPECT_EQ(receive_all(kit, *port, 1).size(), 1u);
}

TEST(AfXdp, DefersNapiAndPutsItBack) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire(1, "ethtool -K np0 gro on");  // NAPI with and without a program
  const auto napi = [&wire] {
    InNetNs in(wire.node);
    return af_xdp::Deferral::read(static_cast<int>(if_nametoindex("np0")));
  };
  const std::vector<af_xdp::Deferral::Napi> before = napi();
  if (before.empty()) GTEST_SKIP() << "this kernel does not tell of NAPI";
  for (const char* us : {"20", "7", "0"}) {
    std::map<std::string, std::string> options;
    if (std::string(us) != "20") options["deferUs"] = us;  // that is the default
    auto [port, error] = open_in(wire.node, *kit.arena, options);
    ASSERT_NE(port, nullptr) << error;
    const bool says = port->caps().description.find(std::string("NAPI deferred ") + us + " us") !=
                      std::string::npos;
    EXPECT_EQ(says, std::string(us) != "0") << port->caps().description;
    const std::vector<af_xdp::Deferral::Napi> now = napi();
    ASSERT_EQ(now.size(), before.size());
    EXPECT_EQ(now[0].flush_timeout, 1000 * std::stoull(us));
    EXPECT_EQ(now[0].defer_hard_irqs, says ? 1u : 0u);
    port.reset();
    EXPECT_EQ(napi()[0].flush_timeout, before[0].flush_timeout);
    EXPECT_EQ(napi()[0].defer_hard_irqs, before[0].defer_hard_irqs);
  }
  auto [port, error] = open_in(wire.node, *kit.arena, {{"take", "services"}});
  ASSERT_NE(port, nullptr) << error;
  EXPECT_EQ(napi()[0].flush_timeout, before[0].flush_timeout) << "a shared interface keeps its own";
}

TEST(AfXdp, WithoutNeedWakeupItStillSends) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena, {{"needWakeup", "false"}});
  ASSERT_NE(port, nullptr) << error;
  EXPECT_EQ(port->caps().description.find("need-wakeup"), std::string::npos);
  EXPECT_EQ(kit.send(*port, {numbered(1), numbered(2)}), 2u);
  EXPECT_EQ(peer.receive(), numbered(1));
  EXPECT_EQ(peer.receive(), numbered(2));
}

// A budget below the batch: the kernel stops in the middle, the driver goes on.
TEST(AfXdp, SmallSendBudgetSendsTheWholeBatch) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena, {{"txBudget", "32"}});
  ASSERT_NE(port, nullptr) << error;
  std::vector<Bytes> batch;
  for (uint32_t i = 0; i < 256; ++i) batch.push_back(numbered(i));
  EXPECT_EQ(kit.send(*port, batch), 256u);
  for (uint32_t i = 0; i < 256; ++i) ASSERT_EQ(peer.receive(), batch[i]) << i;
  EXPECT_GE(stat_of(*port, "txKicks"), 8u);
}

TEST(AfXdp, OneSendPerBatchByDefault) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  if (port->caps().description.find("2048 per send") == std::string::npos)
    GTEST_SKIP() << "this kernel has no XDP_MAX_TX_SKB_BUDGET (6.17)";
  std::vector<Bytes> batch;
  for (uint32_t i = 0; i < 256; ++i) batch.push_back(numbered(i));
  EXPECT_EQ(kit.send(*port, batch), 256u);
  EXPECT_EQ(stat_of(*port, "txKicks"), 1u);
}

TEST(AfXdp, TwoQueues) {
  NEEDS_AF_XDP();
  PortKit kit(16384);
  Wire wire(2);
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena, {}, 2);
  ASSERT_NE(port, nullptr) << error;
  EXPECT_EQ(port->caps().queues, 2);
  // UDP over IPv4 with many ports: the sender's queue is chosen by the flow's hash.
  std::set<Bytes> sent;
  for (uint16_t i = 0; i < 256; ++i) {
    Bytes one = numbered(i, 60);
    const uint8_t ip[28] = {0x45,
                            0,
                            0,
                            46,
                            0,
                            0,
                            0,
                            0,
                            64,
                            17,
                            0,
                            0,
                            10,
                            0,
                            0,
                            2,
                            10,
                            0,
                            0,
                            1,
                            static_cast<uint8_t>(i >> 8),
                            static_cast<uint8_t>(i),
                            0,
                            53,
                            0,
                            26};
    one[12] = 8, one[13] = 0;
    std::memcpy(one.data() + 14, ip, sizeof ip);
    sent.insert(one);
    ASSERT_TRUE(peer.send(one));
  }
  std::set<Bytes> got[2], all;
  EXPECT_TRUE(eventually([&, &port = port] {
    for (uint32_t q = 0; q < 2; ++q)
      for (const Bytes& one : kit.take(*port, q)) got[q].insert(one), all.insert(one);
    return all.size() >= sent.size();
  }));
  for (uint32_t q = 0; q < 2; ++q) EXPECT_GT(got[q].size(), 20u) << "queue " << q;
  EXPECT_EQ(all, sent);
  for (uint32_t q = 0; q < 2; ++q) {
    EXPECT_EQ(kit.send(*port, {numbered(q + 10)}, q), 1u);
    EXPECT_EQ(peer.receive(), numbered(q + 10));
  }
}

TEST(AfXdp, QueuesMustBeThoseOfTheInterface) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire(2);
  auto [more, too_many] = open_in(wire.node, *kit.arena, {}, 4);
  EXPECT_EQ(more, nullptr);
  EXPECT_NE(too_many.find("np0 has 2 receive and 2 transmit queues"), std::string::npos)
      << too_many;
  EXPECT_NE(too_many.find("ethtool -L np0 rx 4 tx 4"), std::string::npos) << too_many;
  auto [fewer, too_few] = open_in(wire.node, *kit.arena, {}, 1);
  EXPECT_EQ(fewer, nullptr);
  EXPECT_NE(too_few.find("would be lost. Set queues: 2"), std::string::npos) << too_few;
}

TEST(AfXdp, MtuLargerThanAFrame) {
  NEEDS_AF_XDP();
  PortKit small(4096, 2048), large(4096, 4096);
  Wire wire;
  wire.node.run_in("ip link set np0 mtu 3000");
  auto [refused, error] = open_in(wire.node, *small.arena);
  EXPECT_EQ(refused, nullptr);
  EXPECT_NE(error.find("the MTU 3000 of np0 is too large: a frame of 2048 bytes holds 1770"),
            std::string::npos)
      << error;
  EXPECT_NE(error.find("frames of 4096 bytes"), std::string::npos) << error;
  auto [port, reason] = open_in(wire.node, *large.arena);
  ASSERT_NE(port, nullptr) << reason;
  RawSocket peer(wire.peer, "np1");
  wire.peer.run_in("ip link set np1 mtu 3000");
  const Bytes big = numbered(1, 3014);
  ASSERT_TRUE(peer.send(big));
  EXPECT_EQ(receive_all(large, *port, 1), std::vector<Bytes>{big});
  EXPECT_EQ(large.send(*port, {big}), 1u);
  EXPECT_EQ(peer.receive(), big);
  port.reset();
  wire.node.run_in("ip link set np0 mtu 9000");
  EXPECT_NE(open_in(wire.node, *large.arena).error.find("4096 bytes holds 3818"),
            std::string::npos);
}

TEST(AfXdp, MtuOfThePeerTooLargeForNative) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  wire.peer.run_in("ip link set np1 mtu 9000");
  auto [port, error] = open_in(wire.node, *kit.arena, {{"mode", "native"}});
  EXPECT_EQ(port, nullptr);
  EXPECT_NE(error.find("or of its peer"), std::string::npos) << error;
  EXPECT_NE(error.find("Peer MTU is too large to set XDP"), std::string::npos) << error;
  // auto falls back, and says why.
  auto [generic, reason] = open_in(wire.node, *kit.arena);
  ASSERT_NE(generic, nullptr) << reason;
  EXPECT_EQ(generic->caps().description.rfind("af_xdp generic", 0), 0u);
  EXPECT_NE(generic->caps().description.find("or of its peer"), std::string::npos);
}

TEST(AfXdp, MissingOrDownInterfaceAndBadOptions) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  wire.node.run_in("ip link set np0 down");
  EXPECT_EQ(open_in(wire.node, *kit.arena).error, "interface np0 is down: ip link set dev np0 up");
  EXPECT_EQ(open_in(wire.peer, *kit.arena).error,
            "there is no interface np0 in this network namespace");
  EXPECT_EQ(open_in(wire.node, *kit.arena, {{"mode", "fast"}}).error, "option mode is fast");
  EXPECT_EQ(open_in(wire.node, *kit.arena, {{"rxRing", "100"}}).error,
            "option rxRing is 100, not a power of two from 64 to 65536");
}

TEST(AfXdp, ZeroCopyThatTheDriverLacks) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  auto [port, error] = open_in(wire.node, *kit.arena, {{"copy", "zero-copy"}});
  EXPECT_EQ(port, nullptr);
  EXPECT_NE(error.find("veth does not support zero-copy"), std::string::npos) << error;
}

TEST(AfXdp, TooFewFrames) {
  NEEDS_AF_XDP();
  PortKit kit(128);
  Wire wire;
  EXPECT_NE(open_in(wire.node, *kit.arena).error.find("too few free frames: 128"),
            std::string::npos);
}

TEST(AfXdp, SecondOneOnTheInterfaceIsRefused) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  auto [first, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(first, nullptr) << error;
  EXPECT_EQ(open_in(wire.node, *kit.arena).error, "another nodeplane has np0 open");
  first.reset();
  auto [again, reason] = open_in(wire.node, *kit.arena);
  EXPECT_NE(again, nullptr) << reason;
}

// On queue 0 of np0, and not nodeplane's.
class OtherSocket {
 public:
  explicit OtherSocket(const Wire& wire) {
    EXPECT_EQ(posix_memalign(&memory_, 4096, kBytes), 0);
    xsk_socket_config config{};
    config.rx_size = config.tx_size = 64;
    config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
    InNetNs in(wire.node);
    EXPECT_EQ(xsk_umem__create(&umem_, memory_, kBytes, &fill_, &completion_, nullptr), 0);
    EXPECT_EQ(xsk_socket__create(&socket_, "np0", 0, umem_, &rx_, &tx_, &config), 0);
  }
  ~OtherSocket() {
    xsk_socket__delete(socket_);
    xsk_umem__delete(umem_);
    free(memory_);
  }

 private:
  static constexpr uint64_t kBytes = 64 * 4096;
  void* memory_ = nullptr;
  xsk_ring_prod fill_{}, tx_{};
  xsk_ring_cons completion_{}, rx_{};
  xsk_umem* umem_ = nullptr;
  xsk_socket* socket_ = nullptr;
};

// Waits a while, then says so.
TEST(AfXdp, BusyQueueIsWaitedFor) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  auto other = std::make_unique<OtherSocket>(wire);
  auto [port, error] = open_in(wire.node, *kit.arena, {{"mode", "native"}});
  EXPECT_EQ(port, nullptr);
  EXPECT_EQ(error,
            "binding queue 0 of np0: it is in use by another AF_XDP socket (tried for 10000 ms)");
  // Who comes too late himself, on a busy machine, has shown nothing.
  for (bool in_time = false; !in_time;) {
    if (other == nullptr) other = std::make_unique<OtherSocket>(wire);
    const Time begin = time_now();
    Time closed = 0;
    std::thread closing([&] {
      poll(nullptr, 0, 300);
      other.reset();
      closed = time_now();
    });
    auto [waited, reason] = open_in(wire.node, *kit.arena, {{"mode", "native"}});
    closing.join();
    in_time = waited != nullptr || closed - begin < kSecond;
    if (in_time) {
      EXPECT_NE(waited, nullptr) << reason;
    }
  }
}

TEST(AfXdp, OpensAgainAtOnceManyTimes) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  for (uint32_t i = 0; i < 10; ++i) {
    auto [port, error] = open_in(wire.node, *kit.arena);
    ASSERT_NE(port, nullptr) << i << ": " << error;
    ASSERT_TRUE(peer.send(numbered(i)));
    EXPECT_EQ(receive_all(kit, *port, 1).size(), 1u);
  }
}

void drop_capabilities(std::initializer_list<uint32_t> which) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  syscall(SYS_capget, &header, data);
  for (const uint32_t one : which) {
    data[one / 32].effective &= ~(1u << (one % 32));
    data[one / 32].permitted &= ~(1u << (one % 32));
  }
  syscall(SYS_capset, &header, data);
}

// Runs in a child, since what is given up does not come back. 0: the error has every word.
int open_without(const Wire& wire, FrameArena& arena, std::initializer_list<uint32_t> which,
                 uint64_t lock_bytes, std::initializer_list<const char*> expected) {
  return status_of(fork_child([&] {
    wire.node.enter();
    const rlimit limit{lock_bytes, lock_bytes};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    drop_capabilities(which);
    std::string error;
    const auto port = open_af_xdp(port_spec("af_xdp", "np0"), arena, &error);
    for (const char* word : expected) {
      if (error.find(word) != std::string::npos) continue;
      std::fprintf(stderr, "no \"%s\" in: %s\n", word, error.c_str());
      return 1;
    }
    return port == nullptr ? 0 : 2;
  }));
}

TEST(AfXdp, MissingCapabilitiesAreNamed) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  const uint64_t any = RLIM_INFINITY;
  EXPECT_EQ(open_without(wire, *kit.arena, {CAP_NET_RAW}, any, {"AF_XDP needs CAP_NET_RAW:"}), 0);
  EXPECT_EQ(open_without(wire, *kit.arena, {CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN}, any,
                         {"AF_XDP needs CAP_NET_ADMIN, CAP_BPF:", "setcap"}),
            0);
}

TEST(AfXdp, MemoryLockLimitIsNamedWithTheBytes) {
  NEEDS_AF_XDP();
  PortKit kit(4096, 2048);
  Wire wire;
  EXPECT_EQ(open_without(wire, *kit.arena, {CAP_IPC_LOCK, CAP_SYS_RESOURCE}, 65536,
                         {"8388608 bytes are needed", "RLIMIT_MEMLOCK is 65536"}),
            0);
}

// Takes everything there is and keeps it: the port goes on with its reserve, drops by name, and
// gives packets again once frames are back.
TEST(AfXdp, KeepsAReserveWhenFramesRunOut) {
  NEEDS_AF_XDP();
  PortKit kit(1024);
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  std::vector<uint32_t> kept;
  uint32_t number = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 64; ++i) ASSERT_TRUE(peer.send(numbered(number++)));
    ASSERT_TRUE(eventually([&, &port = port] {
      const uint32_t n = kit.receive(*port);
      for (uint32_t i = 0; i < n; ++i) kept.push_back(kit.packets[i].frame);
      return kept.size() + kit.drops(Drop::kNoFrame) == number;
    })) << kept.size()
        << " kept";
  }
  EXPECT_EQ(kept.size(), 1024u - 64u);  // all but the reserve
  EXPECT_GT(kit.drops(Drop::kNoFrame), 0u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), stat_of(*port, "rxNoFrame"));
  for (const uint32_t frame : kept) kit.frames->give(frame);
  port->release(0, *kit.frames);
  const Bytes last = numbered(number);
  ASSERT_TRUE(peer.send(last));
  EXPECT_EQ(receive_all(kit, *port, 1), std::vector<Bytes>{last});
}

TEST(AfXdp, FillRingNeverRunsDryUnderABurst) {
  NEEDS_AF_XDP();
  PortKit kit(16384);
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  constexpr uint32_t kBurst = 50000;
  std::atomic<bool> is_sent{false};
  std::thread sender([&] {
    for (uint32_t i = 0; i < kBurst; ++i) peer.send(numbered(i));
    is_sent = true;
  });
  uint64_t got = 0;
  for (int idle = 0; idle < 50;) {
    port->release(0, *kit.frames);
    const uint32_t n = kit.receive(*port);
    kit.give(n);
    got += n;
    idle = n > 0 || !is_sent ? 0 : idle + 1;
    poll(nullptr, 0, 1);  // slow: at most 256 packets per millisecond
  }
  sender.join();
  EXPECT_EQ(stat_of(*port, "fillRingEmpty"), 0u);
  EXPECT_EQ(stat_of(*port, "fillShort"), 0u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 0u);
  EXPECT_GT(got, 1000u);
  // Nothing was lost but where the kernel says so.
  const Bytes after = numbered(kBurst);
  ASSERT_TRUE(peer.send(after));
  EXPECT_TRUE(eventually([&, &port = port] {
    const std::vector<Bytes> some = kit.take(*port);
    return !some.empty() && some.back() == after;
  }));
}

TEST(AfXdp, ArmAndWait) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  EXPECT_TRUE(port->arm(0));
  pollfd waiting{port->wait_fd(0), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 20), 0);
  ASSERT_TRUE(peer.send(numbered(1)));
  EXPECT_EQ(poll(&waiting, 1, kPatienceMs), 1);
  EXPECT_FALSE(port->arm(0));
  EXPECT_EQ(receive_all(kit, *port, 1).size(), 1u);
  EXPECT_TRUE(port->arm(0));
}

// Closed with packets unread in the rx ring and others stuck in the tx ring.
TEST(AfXdp, ClosingGivesBackFramesInEveryRing) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  for (uint32_t i = 0; i < 200; ++i) ASSERT_TRUE(peer.send(numbered(i)));
  wire.node.run_in("ip link set np0 down");
  std::vector<Bytes> batch(100, numbered(1));
  EXPECT_EQ(kit.send(*port, batch), 100u);
  port.reset();
  kit.frames->flush();
  EXPECT_EQ(kit.arena->free_count(), kit.arena->count());
}

TEST(AfXdp, FullTransmitRingTakesOnlyWhatFits) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  auto [port, error] = open_in(wire.node, *kit.arena, {{"txRing", "64"}});
  ASSERT_NE(port, nullptr) << error;
  wire.node.run_in("ip link set np0 down");  // nothing is completed any more
  const std::vector<Bytes> batch(100, numbered(1));
  EXPECT_EQ(kit.send(*port, batch), 64u);
  EXPECT_EQ(kit.send(*port, batch), 0u);
}

uint32_t attached_program(const NetNs& ns) {
  InNetNs in(ns);
  uint32_t id = 0;
  bpf_xdp_query_id(static_cast<int>(if_nametoindex("np0")), 0, &id);
  return id;
}

TEST(AfXdp, CleanCloseDetaches) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  EXPECT_NE(attached_program(wire.node), 0u);
  port.reset();
  EXPECT_EQ(attached_program(wire.node), 0u);
}

TEST(AfXdp, SomebodyElsesProgramIsRefusedAndStays) {
  NEEDS_AF_XDP();
  PortKit kit;
  Wire wire;
  // r0 = XDP_PASS; exit
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS},
                           {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign_prog", "GPL", code, 2, nullptr);
  ASSERT_GE(fd, 0) << strerror(errno);
  {
    InNetNs in(wire.node);
    ASSERT_EQ(
        bpf_xdp_attach(static_cast<int>(if_nametoindex("np0")), fd, XDP_FLAGS_DRV_MODE, nullptr),
        0);
  }
  close(fd);
  const uint32_t id = attached_program(wire.node);
  auto [port, error] = open_in(wire.node, *kit.arena);
  EXPECT_EQ(port, nullptr);
  EXPECT_NE(error.find("another XDP program, foreign_prog, id " + std::to_string(id)),
            std::string::npos)
      << error;
  EXPECT_EQ(attached_program(wire.node), id);
}

// A process that has the port open, until it is killed.
pid_t child_with_port(const Wire& wire, std::map<std::string, std::string> options,
                      const std::function<void(Port&)>& then = {}) {
  int ready[2];
  EXPECT_EQ(pipe(ready), 0);
  const pid_t child = fork_child([&]() -> int {
    close(ready[0]);
    PortKit kit;
    auto opened = open_in(wire.node, *kit.arena, std::move(options));
    if (!opened.port) std::fprintf(stderr, "child: %s\n", opened.error.c_str());
    if (opened.port && then) then(*opened.port);
    if (opened.port && write(ready[1], "+", 1) == 1) pause();
    return 1;
  });
  close(ready[1]);
  char answer = 0;
  EXPECT_EQ(read(ready[0], &answer, 1), 1);
  close(ready[0]);
  return child;
}

// TCP SYN to a closed port and an ICMP echo request: the kernel would answer both.
std::vector<Bytes> provocations() {
  Bytes syn = {2,    0,    0, 0,  0, 1, 2, 0, 0,  0, 0, 2, 8,    0,  //
               0x45, 0,    0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10,   9, 0,    2,    10, 9, 0, 1,
               0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0,  0, 0, 0, 0x50, 2, 0xff, 0xff, 0,  0, 0, 0};
  Bytes echo = {2,    0, 0,  0,  0, 1, 2, 0, 0,  0, 0, 2, 8,  0,  //
                0x45, 0, 0,  28, 0, 1, 0, 0, 64, 1, 0, 0, 10, 9,
                0,    2, 10, 9,  0, 1, 8, 0, 0,  0, 0, 1, 0,  1};
  const auto sum = [](Bytes& b, size_t from, size_t to, size_t at, uint32_t start) {
    uint32_t s = start;
    for (size_t i = from; i < to; i += 2) s += static_cast<uint32_t>(b[i] << 8 | b[i + 1]);
    while (s >> 16) s = (s & 0xffff) + (s >> 16);
    b[at] = static_cast<uint8_t>(~s >> 8), b[at + 1] = static_cast<uint8_t>(~s);
  };
  sum(syn, 14, 34, 24, 0);
  sum(echo, 14, 34, 24, 0);
  sum(syn, 34, 54, 50, 0x0a09 + 2 + 0x0a09 + 1 + 6 + 20);
  sum(echo, 34, 42, 36, 0);
  return {syn, echo};
}

TEST(AfXdp, AfterAKillNothingOfOursReachesTheKernel) {
  NEEDS_AF_XDP();
  Wire wire;
  RawSocket peer(wire.peer, "np1");
  // Permanent neighbour: the kernel's answers need no ARP, which would not be seen either.
  wire.node.run_in("ip addr add 10.9.0.1/24 dev np0");
  wire.node.run_in("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev np0");
  const auto provoke = [&] {
    for (const Bytes& one : provocations()) EXPECT_TRUE(peer.send(one));
  };
  provoke();
  for (size_t i = 0; i < provocations().size(); ++i)
    ASSERT_FALSE(peer.receive().empty()) << "without a program the kernel answers";
  const pid_t child = child_with_port(wire, {});
  const uint32_t left = attached_program(wire.node);
  EXPECT_NE(left, 0u);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(status_of(child), 128 + SIGKILL);
  EXPECT_EQ(attached_program(wire.node), left);
  for (int round = 0; round < 25; ++round) {
    provoke();
    ASSERT_TRUE(peer.receive(100).empty()) << "answered in round " << round;
  }

  PortKit kit;
  auto [port, error] = open_in(wire.node, *kit.arena);
  ASSERT_NE(port, nullptr) << error;
  EXPECT_NE(port->caps().description.find("left-over program (id " + std::to_string(left) + ")"),
            std::string::npos)
      << port->caps().description;
  EXPECT_NE(attached_program(wire.node), left);
  provoke();
  EXPECT_EQ(receive_all(kit, *port, 2).size(), 2u);
  EXPECT_TRUE(peer.receive(100).empty());
  port.reset();
  provoke();
  EXPECT_FALSE(peer.receive().empty()) << "after a clean close the kernel answers again";
}

// In the mode of the left-over the replacement is one step; an explicit other mode takes two.
TEST(AfXdp, LeftOverOfAnotherMode) {
  NEEDS_AF_XDP();
  Wire wire;
  PortKit kit;
  const auto killed = [&](const char* mode) {
    const pid_t child = child_with_port(wire, {{"mode", mode}});
    kill(child, SIGKILL);
    status_of(child);
  };
  killed("generic");
  {
    auto [port, error] = open_in(wire.node, *kit.arena);
    ASSERT_NE(port, nullptr) << error;
    EXPECT_EQ(port->caps().description.rfind("af_xdp generic", 0), 0u);
  }
  killed("generic");
  auto [port, error] = open_in(wire.node, *kit.arena, {{"mode", "native"}});
  ASSERT_NE(port, nullptr) << error;
  EXPECT_EQ(port->caps().description.rfind("af_xdp native", 0), 0u);
}

}  // namespace
}  // namespace nodeplane
