#include "peer/peer.h"

#include "driver/loop/cable.h"
#include "support/peer_kit.h"

namespace nodeplane {
namespace {

using C = PeerCount;

PeerOptions sink_options(const std::string& cable, uint32_t flows) {
  PeerOptions o = peer_options(PeerMode::kSink, cable);
  o.check = flows != 0;
  o.check_flows = flows;
  return o;
}

PeerOptions send_options(const std::string& cable, LoadSpec load, uint64_t count) {
  PeerOptions o = peer_options(PeerMode::kSend, cable);
  o.load = std::move(load);
  o.count = count;
  return o;
}

uint64_t arrived(const Peer::Stats& s) { return of(s, C::kReceived) + of(s, C::kLostInDriver); }
// Not counting what came twice.
uint64_t arrived_once(const Peer::Stats& s) { return of(s, C::kGood) + of(s, C::kReordered); }

// Sends all of it over a cable into a checking sink, until so many are there; what the sink counted.
Peer::Stats through(const std::string& cable, LoadSpec load, uint64_t count,
                    std::map<std::string, std::string> options = {}, uint16_t queues = 1,
                    uint64_t (*there)(const Peer::Stats&) = arrived) {
  const uint32_t flows = load.flows;
  PeerOptions in = sink_options(cable, flows);
  in.port.options = std::move(options);
  in.port.queues = queues;
  auto sink = make_peer(std::move(in));
  PeerOptions out = send_options(cable, std::move(load), count);
  out.port.queues = queues;
  auto sender = make_peer(std::move(out));
  EXPECT_TRUE(sink->start());
  EXPECT_TRUE(sender->start());
  sender->join();
  EXPECT_EQ(of(sender->stats(), C::kSent), count);
  EXPECT_TRUE(eventually([&] { return there(sink->stats()) >= count; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // no more should come
  end_of(*sender);
  return end_of(*sink);
}

TEST(PeerConcurrent, NothingIsLostOverACable) {
  for (const uint32_t bytes : {64u, 1514u, 9014u}) {
    const uint64_t count = bytes == 64 ? 100000 : 10000;
    const Peer::Stats s = through("peer-clean", load_spec(33, bytes, true), count);
    EXPECT_EQ(of(s, C::kGood), count) << bytes;
    EXPECT_EQ(of(s, C::kReceived), count);
    EXPECT_EQ(of(s, C::kReceivedBytes), count * bytes);
    for (const C c : {C::kLost, C::kDuplicated, C::kReordered, C::kCorrupt, C::kStrange})
      EXPECT_EQ(of(s, c), 0u) << static_cast<int>(c);
    EXPECT_GT(s.active_seconds, 0);
    EXPECT_FALSE(s.is_running);
  }
}

TEST(PeerConcurrent, FlowsKeepTheirOrderOverQueues) {
  const Peer::Stats s = through("peer-queues", load_spec(50, 128, true), 20000, {}, 4);
  EXPECT_EQ(of(s, C::kGood), 20000u);
  EXPECT_EQ(of(s, C::kReordered) + of(s, C::kLost), 0u);
}

// A port that holds every packet back shows in their ages. (It may have looked at its clock a little
// before some of them were sent.)
TEST(Peer, TellsLatency) {
  constexpr Time kHeld = 4 * kMillisecond;
  PeerOptions in = sink_options("peer-latency", 0);
  in.latency = true;
  in.port.options = {{"fault", "delay=4ms"}};
  auto sink = make_peer(std::move(in));
  PeerOptions out = send_options("peer-latency", load_spec(5, 64, false), 2000);
  out.latency = true;
  out.packets_per_second = 20'000;
  auto sender = make_peer(std::move(out));
  EXPECT_TRUE(sink->start());
  EXPECT_TRUE(sender->start());
  EXPECT_TRUE(eventually([&] { return of(sink->stats(), C::kReceived) == 2000; }));
  end_of(*sender);
  end_of(*sink);
  const Histogram* ages = sink->latency();
  ASSERT_NE(ages, nullptr);
  EXPECT_EQ(ages->count(), 2000u);
  EXPECT_GE(ages->quantile(0.9), kHeld);
  EXPECT_GE(ages->quantile(0.99), ages->quantile(0.5));
  EXPECT_LE(ages->min(), ages->quantile(0));
  EXPECT_LE(ages->quantile(1), ages->max());
}

TEST(Peer, SeesInjectedLoss) {
  const Peer::Stats s =
      through("peer-loss", load_spec(4, 200, true), 20000, {{"fault", "drop=0.01,seed=3"}});
  const uint64_t gone = of(s, C::kLostInDriver);
  EXPECT_GT(gone, 50u);
  EXPECT_EQ(of(s, C::kGood) + gone, 20000u);
  // What is lost behind the last packet of a flow cannot be seen.
  EXPECT_LE(of(s, C::kLost), gone);
  EXPECT_GE(of(s, C::kLost) + 4 * 8, gone);
  EXPECT_EQ(of(s, C::kDuplicated) + of(s, C::kReordered) + of(s, C::kCorrupt), 0u);
}

TEST(Peer, SeesInjectedDuplicates) {
  const Peer::Stats s = through("peer-double", load_spec(4, 200, true), 20000,
                                {{"fault", "duplicate=0.01,seed=3"}}, 1, arrived_once);
  EXPECT_EQ(of(s, C::kGood), 20000u);
  EXPECT_GT(of(s, C::kDuplicated), 50u);
  EXPECT_EQ(of(s, C::kReceived), 20000 + of(s, C::kDuplicated));
  EXPECT_EQ(of(s, C::kLost) + of(s, C::kReordered) + of(s, C::kCorrupt), 0u);
}

TEST(Peer, SeesInjectedReordering) {
  const Peer::Stats s =
      through("peer-order", load_spec(1, 200, true), 20000, {{"fault", "reorder=0.01,seed=3"}});
  EXPECT_GT(of(s, C::kReordered), 50u);
  EXPECT_EQ(of(s, C::kGood) + of(s, C::kReordered), 20000u);
  EXPECT_EQ(of(s, C::kLost) + of(s, C::kDuplicated) + of(s, C::kCorrupt), 0u);
}

TEST(Peer, SeesInjectedCorruption) {
  for (const uint32_t bytes : {100u, 9014u}) {
    const Peer::Stats s =
        through("peer-harm", load_spec(4, bytes, true), 5000, {{"fault", "corrupt=0.1,seed=3"}});
    // A bit of the Ethernet header, which no sum covers, may fall too.
    const uint64_t seen = of(s, C::kCorrupt) + of(s, C::kStrange);
    EXPECT_GT(of(s, C::kCorrupt), 350u);
    EXPECT_GE(of(s, C::kGood) + of(s, C::kDuplicated) + seen, 5000u);
    EXPECT_LE(of(s, C::kGood), 4650u);
  }
}

TEST(Peer, BothKeepsItsWindow) {
  PeerOptions o = peer_options(PeerMode::kBoth, "peer-window");
  o.load = load_spec(8, 64, true);
  o.check = true;
  o.check_flows = 8;
  o.window = 5;
  o.patience = kPatience;
  o.count = 500;
  auto both = make_peer(std::move(o));
  std::string error;
  auto end = LoopEnd::open(loop_cable("peer-window"), 1, &error);
  ASSERT_NE(end, nullptr) << error;
  both->start();
  uint64_t back = 0;
  uint32_t most = 0;
  EXPECT_TRUE(eventually([&] {
    std::vector<Bytes> held;
    for (Bytes one; end->collect(&one);) held.push_back(one);
    most = std::max(most, static_cast<uint32_t>(held.size()));
    for (const Bytes& one : held) end->inject(one.data(), static_cast<uint32_t>(one.size()));
    back += held.size();
    return back == 500;
  }));
  both->join();
  const Peer::Stats s = end_of(*both);
  EXPECT_LE(most, 5u);
  EXPECT_EQ(of(s, C::kSent), 500u);
  EXPECT_EQ(of(s, C::kGood), 500u);
}

TEST(Peer, WindowOpensAgainAfterLoss) {
  PeerOptions o = peer_options(PeerMode::kBoth, "peer-silent");
  o.load = load_spec(1, 64, true);
  o.window = 4;
  auto both = make_peer(std::move(o));
  both->start();
  EXPECT_TRUE(eventually([&] { return of(both->stats(), C::kSent) >= 12; }));
  end_of(*both);
}

TEST(Peer, BothOverTwoPorts) {
  PeerOptions o = peer_options(PeerMode::kBoth, "peer-out");
  o.back = port_spec("loop", "peer-back");
  o.load = load_spec(8, 64, true);
  o.check = true;
  o.check_flows = 8;
  o.patience = kPatience;
  o.count = 1000;
  auto both = make_peer(std::move(o));
  std::string error;
  auto out = LoopEnd::open(loop_cable("peer-out"), 1, &error);
  auto back = LoopEnd::open(loop_cable("peer-back"), 1, &error);
  both->start();
  uint32_t moved = 0;
  EXPECT_TRUE(eventually([&] {
    for (Bytes one; out->collect(&one); ++moved)
      back->inject(one.data(), static_cast<uint32_t>(one.size()));
    return moved == 1000;
  }));
  both->join();
  EXPECT_EQ(of(end_of(*both), C::kGood), 1000u);
}

TEST(Peer, BouncesWithMacsExchanged) {
  auto bouncer = make_peer(peer_options(PeerMode::kBounce, "peer-bounce"));
  std::string error;
  auto end = LoopEnd::open(loop_cable("peer-bounce"), 1, &error);
  bouncer->start();
  Bytes in = pattern(5000), want = in, out;
  std::swap_ranges(want.begin(), want.begin() + 6, want.begin() + 6);
  const uint8_t tiny[5] = {};
  end->inject(tiny, sizeof tiny);
  end->inject(in.data(), static_cast<uint32_t>(in.size()));
  ASSERT_TRUE(eventually([&] { return end->collect(&out); }));
  EXPECT_EQ(out, want);
  const Peer::Stats s = end_of(*bouncer);
  EXPECT_EQ(of(s, C::kReceived), 2u);
  EXPECT_EQ(of(s, C::kAnswered), 1u);
  EXPECT_EQ(of(s, C::kDropped), 1u);
}

TEST(Peer, SendsRawPacketsAtARate) {
  PeerOptions o = peer_options(PeerMode::kSend, "peer-raw");
  o.load.raw = {pattern(60), pattern(3000, 2)};
  o.packets_per_second = 1000;
  auto sender = make_peer(std::move(o));
  std::string error;
  auto end = LoopEnd::open(loop_cable("peer-raw"), 1, &error);
  sender->start();
  EXPECT_TRUE(eventually([&] { return of(sender->stats(), C::kSent) >= 100; }));
  const Peer::Stats s = end_of(*sender);
  EXPECT_LE(static_cast<double>(of(s, C::kSent)), s.seconds * 1000 + 1);
  uint64_t n = 0, bytes = 0;
  for (Bytes one; end->collect(&one); ++n) {
    EXPECT_EQ(one, n % 2 == 0 ? pattern(60) : pattern(3000, 2));
    bytes += one.size();
  }
  EXPECT_EQ(n, of(s, C::kSent));
  EXPECT_EQ(bytes, of(s, C::kSentBytes));
}

TEST(Peer, EndsAfterItsSeconds) {
  PeerOptions o = sink_options("peer-seconds", 0);
  o.seconds = 0.05;
  auto sink = make_peer(std::move(o));
  sink->start();
  sink->join();
  EXPECT_GE(end_of(*sink).seconds, 0.05);
}

TEST(Peer, KeepsWhatThePortDoesNotTake) {
  // Nobody reads this cable: its ring fills.
  auto sender = make_peer(send_options("peer-full", load_spec(7, 1514, true), 0));
  sender->start();
  EXPECT_TRUE(eventually([&] { return of(sender->stats(), C::kNotTaken) > 1000; }));
  sender->stop();
  sender->join();
  const uint64_t sent = of(sender->stats(), C::kSent);
  EXPECT_GT(sent, 600u);
  // No number was skipped by trying again.
  auto sink = make_peer(sink_options("peer-full", 7));
  sink->start();
  EXPECT_TRUE(eventually([&] { return of(sink->stats(), C::kReceived) == sent; }));
  const Peer::Stats s = end_of(*sink);
  EXPECT_EQ(of(s, C::kGood), sent);
  EXPECT_EQ(of(s, C::kLost), 0u);
  end_of(*sender);
}

TEST(PeerConcurrent, SleepsAndWakes) {
  PeerOptions o = sink_options("peer-sleep", 0);
  o.is_adaptive = true;
  auto sink = make_peer(std::move(o));
  std::string error;
  auto end = LoopEnd::open(loop_cable("peer-sleep"), 1, &error);
  sink->start();
  for (uint64_t i = 1; i <= 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    end->inject(pattern(60).data(), 60);
    EXPECT_TRUE(eventually([&] { return of(sink->stats(), C::kReceived) == i; }));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Peer::Stats s = end_of(*sink);
  EXPECT_LT(s.cpu_seconds, s.seconds / 2) << "it polled";
}

TEST(PeerConcurrent, RestsAndGoesOn) {
  PeerOptions o = peer_options(PeerMode::kSend, "peer-rest");
  o.load = load_spec(1, 64, true);
  auto sender = make_peer(std::move(o));
  std::string error;
  auto end = LoopEnd::open(loop_cable("peer-rest"), 1, &error);
  sender->start();
  const auto comes = [&] {
    Bytes one;
    return eventually([&] { return end->collect(&one); });
  };
  EXPECT_TRUE(comes());
  sender->rest(true);
  EXPECT_TRUE(eventually([&] {  // until what was on its way is here
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    uint32_t came = 0;
    for (Bytes one; end->collect(&one);) ++came;
    return came == 0;
  }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  sender->rest(false);
  EXPECT_TRUE(comes());
  end_of(*sender);
}

TEST(Peer, StartsOnce) {
  auto sink = make_peer(sink_options("peer-once", 0));
  EXPECT_TRUE(sink->start());
  EXPECT_FALSE(sink->start());
  end_of(*sink);
  EXPECT_FALSE(sink->start());
}

TEST(Peer, SaysWhatIsWrong) {
  std::string error;
  PeerOptions o = peer_options(PeerMode::kSend, "peer-wrong");
  EXPECT_EQ(Peer::create(o, &error), nullptr);
  EXPECT_NE(error.find("needs a service"), std::string::npos) << error;
  o.mode = PeerMode::kSink;
  o.port.driver = "nonsense";
  EXPECT_EQ(Peer::create(o, &error), nullptr);
  EXPECT_NE(error.find("unknown driver"), std::string::npos) << error;
}

}  // namespace
}  // namespace nodeplane
