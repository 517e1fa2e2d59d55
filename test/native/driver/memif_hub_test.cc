// Both roles of the hub against each other and against a peer by hand, through real sockets.
#include "driver/memif/hub.h"

#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <vector>

#include "support/memif_kit.h"

namespace nodeplane::memif {
namespace {

using Told = Seat::Told;

TEST(ConcurrentMemifHub, ServerAndClientMeetAndPart) {
  const std::string socket = socket_name("meet");
  HubPort server(wish_of(Role::kServer, socket));
  ASSERT_TRUE(server.added) << server.error;
  HubPort client(wish_of(Role::kClient, socket));
  ASSERT_TRUE(client.added) << client.error;
  Link* const s = server.take();
  Link* const c = client.take();
  ASSERT_NE(s, nullptr);
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(s->role, Role::kServer);
  EXPECT_EQ(s->peer, "nodeplane");
  ASSERT_EQ(s->receiving.size(), 1u);
  ASSERT_EQ(s->sending.size(), 1u);
  EXPECT_EQ(s->receiving[0].size, 64u);
  // The same memory, each other's direction.
  c->sending[0].head->head = 7;
  c->receiving[0].head->head = 9;
  EXPECT_EQ(s->receiving[0].head->head, 7);
  EXPECT_EQ(s->sending[0].head->head, 9);
  EXPECT_EQ(c->buffer_bytes, 2048u);
  EXPECT_EQ(c->receiving_first, c->sending_first + 64 * 2048);
  EXPECT_EQ(c->regions[0].bytes, c->receiving_first + 64 * 2048);
  EXPECT_EQ(s->regions[0].bytes, c->regions[0].bytes);
  EXPECT_TRUE(server.has_news("memif port server: peer nodeplane connected"));

  client.close();
  EXPECT_TRUE(server.gone());
  EXPECT_TRUE(server.seat.is_used(s));
  server.leave();
  EXPECT_TRUE(
      server.has_news("memif port server: peer nodeplane disconnected: peer says: port "
                      "closed"));
}

TEST(ConcurrentMemifHub, ManyIdsShareOneSocketAndRolesMayMeetInOneProcess) {
  const std::string socket = socket_name("ids");
  std::vector<std::unique_ptr<HubPort>> servers, clients;
  for (uint32_t id = 0; id < 4; ++id) {
    Wish wish = wish_of(Role::kServer, socket, id * 1000);
    wish.queues = static_cast<uint16_t>(id + 1);
    servers.push_back(std::make_unique<HubPort>(wish));
    ASSERT_TRUE(servers.back()->added) << servers.back()->error;
    wish.role = Role::kClient;
    wish.socket = "abstract:" + socket.substr(1);  // the same place
    clients.push_back(std::make_unique<HubPort>(wish));
    ASSERT_TRUE(clients.back()->added) << clients.back()->error;
  }
  for (uint32_t id = 0; id < 4; ++id) {
    Link* const s = servers[id]->take();
    Link* const c = clients[id]->take();
    ASSERT_NE(s, nullptr);
    ASSERT_NE(c, nullptr);
    ASSERT_EQ(s->receiving.size(), id + 1);
    ASSERT_EQ(s->sending.size(), id + 1);
    for (uint32_t q = 0; q <= id; ++q) {
      c->sending[q].head->head = static_cast<uint16_t>(100 * id + q);
      EXPECT_EQ(s->receiving[q].head->head, 100 * id + q);
    }
  }
  HubPort taken(wish_of(Role::kServer, socket, 1000));
  EXPECT_FALSE(taken.added);
  EXPECT_EQ(taken.error, socket + ": id 1000 belongs to port server");
  HubPort twice(wish_of(Role::kClient, socket, 1000));
  EXPECT_FALSE(twice.added);
}

TEST(ConcurrentMemifHub, LendsAnArena) {
  FrameArena::Options options;
  options.count = 64;
  options.huge = false;
  std::string error;
  const auto arena = FrameArena::create(options, &error);
  const std::string socket = socket_name("lend");
  HubPort server(wish_of(Role::kServer, socket));
  Wish wish = wish_of(Role::kClient, socket);
  wish.lent = arena.get();
  HubPort client(wish);
  Link* const s = server.take();
  ASSERT_NE(s, nullptr);
  ASSERT_EQ(s->regions.size(), 2u);
  arena->at(5)[17] = 0x5a;
  EXPECT_EQ(s->regions[1].base[5 * 2048 + 17], 0x5a);
  EXPECT_NE(client.take(), nullptr);
}

TEST(ConcurrentMemifHub, SaysWhyItRefusesAndGoesOnTrying) {
  const std::string socket = socket_name("why");
  Wish wish = wish_of(Role::kServer, socket);
  wish.secret = "sesame";
  HubPort server(wish);
  ASSERT_TRUE(server.added);
  const auto refused = [&](const Wish& tried, const std::string& why) {
    HubPort client(tried);
    EXPECT_TRUE(eventually([&] { return client.reason() == "peer says: " + why; }))
        << client.reason();
    EXPECT_TRUE(
        client.has_news("memif port client: no connection to " + socket + ": peer says: " + why));
    EXPECT_TRUE(eventually([&] { return server.has_news("peer nodeplane refused: " + why); }));
    // Again and again, but told once.
    EXPECT_TRUE(eventually([&] { return client.count(&Told::refused) >= 3; }));
    const std::lock_guard hold(client.seat.told_lock);
    EXPECT_EQ(client.seat.told.news.size(), 1u);
  };
  Wish tried = wish_of(Role::kClient, socket);
  refused(tried, "secret required");
  tried.secret = "simsim";
  refused(tried, "incorrect secret");
  tried.secret = "sesame";
  tried.id = 9;
  refused(tried, "unknown interface id 9");
  tried.id = 0;
  tried.mode = Mode::kIp;
  refused(tried, "mode mismatch");
  tried.mode = Mode::kEthernet;
  HubPort client(tried);
  EXPECT_NE(client.take(), nullptr);
  EXPECT_EQ(server.count(&Told::violations), 0u);
}

TEST(ConcurrentMemifHub, AClientComesBackWheneverItsServerDoes) {
  const std::string socket = socket_name("again");
  HubPort client(wish_of(Role::kClient, socket));
  EXPECT_TRUE(eventually([&] { return client.has_news("Connection refused"); }));
  for (int round = 0; round < 3; ++round) {
    HubPort server(wish_of(Role::kServer, socket));
    ASSERT_TRUE(server.added) << server.error;
    ASSERT_NE(client.take(), nullptr);
    ASSERT_NE(server.take(), nullptr);
    server.close();
    EXPECT_TRUE(client.gone());
    EXPECT_EQ(client.reason(), "peer says: port closed");
    client.leave();
  }
  EXPECT_EQ(client.count(&Told::connects), 3u);
  EXPECT_EQ(client.count(&Told::disconnects), 3u);
}

// --- socket files ---------------------------------------------------------------------------------

struct SocketFile : testing::Test {
  SocketFile() {
    char name[] = "/tmp/nodeplane-memif-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    folder = name;
    path = folder + "/memif.sock";
  }
  ~SocketFile() override {
    unlink(path.c_str());
    rmdir(folder.c_str());
  }
  bool is_there() const { return access(path.c_str(), F_OK) == 0; }
  std::string folder, path;
};
using ConcurrentMemifSocketFile = SocketFile;

TEST_F(ConcurrentMemifSocketFile, IsForItsGroupAndGoesWithTheLastPort) {
  {
    HubPort first(wish_of(Role::kServer, path, 1));
    ASSERT_TRUE(first.added) << first.error;
    HubPort second(wish_of(Role::kServer, path, 2));
    ASSERT_TRUE(second.added) << second.error;
    struct stat file {};
    ASSERT_EQ(stat(path.c_str(), &file), 0);
    EXPECT_TRUE(S_ISSOCK(file.st_mode));
    EXPECT_EQ(file.st_mode & 07777, 0660u);
    first.close();
    EXPECT_TRUE(is_there());
    HubPort client(wish_of(Role::kClient, path, 2));
    EXPECT_NE(client.take(), nullptr);
  }
  EXPECT_FALSE(is_there());
}

TEST_F(ConcurrentMemifSocketFile, IsReplacedWhenNobodyListensThereAnyMore) {
  {
    Address address;
    std::string error;
    ASSERT_TRUE(parse_address(path, &address, &error));
    const Fd dead(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.length),
              0);
  }
  ASSERT_TRUE(is_there());
  HubPort server(wish_of(Role::kServer, path));
  EXPECT_TRUE(server.added) << server.error;
  HubPort client(wish_of(Role::kClient, path));
  EXPECT_NE(client.take(), nullptr);
}

TEST_F(ConcurrentMemifSocketFile, OfSomebodyElseIsLeftAlone) {
  Address address;
  std::string error;
  ASSERT_TRUE(parse_address(path, &address, &error));
  for (const int kind : {SOCK_SEQPACKET, SOCK_STREAM}) {
    const Fd other(socket(AF_UNIX, kind, 0));
    ASSERT_EQ(bind(other.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.length),
              0);
    ASSERT_EQ(listen(other.get(), 1), 0);
    HubPort server(wish_of(Role::kServer, path));
    EXPECT_FALSE(server.added);
    EXPECT_EQ(server.error, path + ": another process listens there");
    EXPECT_TRUE(is_there());
    unlink(path.c_str());
  }
  const Fd other(socket(AF_UNIX, SOCK_SEQPACKET, 0));
  const std::string name = socket_name("other");
  ASSERT_TRUE(parse_address(name, &address, &error));
  ASSERT_EQ(bind(other.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.length),
            0);
  HubPort server(wish_of(Role::kServer, name));
  EXPECT_FALSE(server.added);
  EXPECT_EQ(server.error, name + ": another process listens there");
}

TEST_F(ConcurrentMemifSocketFile, IsNeverPutWhereSomethingElseIs) {
  const std::string target = folder + "/target";
  const auto refused = [&] {
    HubPort server(wish_of(Role::kServer, path));
    EXPECT_FALSE(server.added);
    EXPECT_EQ(server.error, path + ": is there and is not a socket");
    EXPECT_TRUE(is_there());
  };
  close(open(target.c_str(), O_CREAT | O_WRONLY, 0600));
  ASSERT_EQ(symlink(target.c_str(), path.c_str()), 0);
  refused();
  unlink(path.c_str());
  ASSERT_EQ(rename(target.c_str(), path.c_str()), 0);
  refused();
  unlink(path.c_str());
  HubPort lost(wish_of(Role::kServer, folder + "/no/such/place"));
  EXPECT_FALSE(lost.added);
  EXPECT_EQ(lost.error, folder + "/no/such/place: No such file or directory");
}

TEST_F(ConcurrentMemifSocketFile, OfASuccessorStays) {
  HubPort server(wish_of(Role::kServer, path));
  ASSERT_TRUE(server.added);
  unlink(path.c_str());
  close(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  server.close();
  EXPECT_TRUE(is_there());
}

TEST(MemifAddress, IsAPathOrAnAbstractNameOfExactLength) {
  Address a, b;
  std::string error;
  ASSERT_TRUE(parse_address("abstract:np", &a, &error));
  ASSERT_TRUE(parse_address("@np", &b, &error));
  EXPECT_TRUE(a == b);
  EXPECT_EQ(a.length, 2u + 1 + 2);
  EXPECT_EQ(std::memcmp(a.socket.sun_path, "\0np", 3), 0);
  ASSERT_TRUE(parse_address("/run/np", &b, &error));
  EXPECT_EQ(b.length, 2u + 7 + 1);
  EXPECT_FALSE(b.abstract);
  EXPECT_TRUE(parse_address(std::string(107, 'x'), &a, &error));
  EXPECT_TRUE(parse_address("@" + std::string(107, 'x'), &a, &error));
  for (const std::string& bad :
       {std::string(), std::string("@"), std::string("abstract:"), std::string(108, 'x'),
        "@" + std::string(108, 'x'), std::string("a\0b", 3)})
    EXPECT_FALSE(parse_address(bad, &a, &error)) << bad;
  HubPort port(wish_of(Role::kClient, ""));
  EXPECT_FALSE(port.added);
}

// --- a peer by hand -----------------------------------------------------------------------------

TEST(ConcurrentMemifHub, RefusesASecondClientOfAnId) {
  const std::string socket = socket_name("second");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  RawPeer first(socket);
  first.join(0, memory, 65536);
  ASSERT_NE(server.take(), nullptr);
  RawPeer second(socket);
  second.hear();
  second.say(init_message());
  const Message no = second.hear();
  EXPECT_EQ(no.type, MessageType::kDisconnect);
  EXPECT_EQ(text_of(no.disconnect.text, 96), "already connected");
  EXPECT_NE(server.seat.wanted(), nullptr);
}

TEST(ConcurrentMemifHub, LetsAClientBackOnlyWhenItsOldMemoryIsNotUsedAnyMore) {
  const std::string socket = socket_name("back");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  auto first = std::make_unique<RawPeer>(socket);
  first->join(0, memory, 65536);
  Link* const old = server.take();
  ASSERT_NE(old, nullptr);
  RawPeer second(socket);
  EXPECT_EQ(second.hear().type, MessageType::kHello);
  first.reset();
  second.say(init_message());
  EXPECT_EQ(second.hear(100).type, MessageType{0});  // not yet
  EXPECT_EQ(server.seat.wanted(), nullptr);
  EXPECT_EQ(old->regions[0].base[0], kCookie & 0xff);  // still there
  server.leave();
  EXPECT_EQ(second.hear().type, MessageType::kAck);
}

// The server may hear the second first: what the first has said counts all the same.
TEST(ConcurrentMemifHub, LetsTheNextClientInAsSoonAsTheLastSaidGoodbye) {
  const std::string socket = socket_name("next");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  RawPeer last(socket);
  last.join(0, memory, 65536);
  for (int i = 0; i < 100 && !HasFailure(); ++i) {
    RawPeer next(socket);
    EXPECT_EQ(next.hear().type, MessageType::kHello);
    last.say(message_of(MessageType::kDisconnect));
    next.pass(init_message());
    next.fd.reset();
    RawPeer again(socket);
    again.join(0, memory, 65536);
    std::swap(last.fd, again.fd);
  }
}

TEST(ConcurrentMemifHub, ForgetsAClientThatWaitsAndGoes) {
  const std::string socket = socket_name("wait");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  auto first = std::make_unique<RawPeer>(socket);
  first->join(0, memory, 65536);
  ASSERT_NE(server.take(), nullptr);
  first.reset();
  ASSERT_TRUE(server.gone());
  const size_t before = open_descriptors();
  {
    RawPeer second(socket);
    second.hear();
    second.say(init_message());
    EXPECT_EQ(second.hear(50).type, MessageType{0});
  }
  EXPECT_TRUE(eventually([&] { return open_descriptors() == before; }));
  server.leave();
  RawPeer third(socket);
  third.join(0, memory, 65536);
}

TEST(ConcurrentMemifHub, EndsAConnectionWhoseQueueSawAViolation) {
  const std::string socket = socket_name("violate");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  RawPeer peer(socket);
  peer.join(0, memory, 65536);
  Link* const link = server.take();
  ASSERT_NE(link, nullptr);
  server.seat.violate(*link, "descriptor outside its region");
  server.seat.violate(*link, "something later");
  const Message bye = peer.hear();
  EXPECT_EQ(bye.type, MessageType::kDisconnect);
  EXPECT_EQ(text_of(bye.disconnect.text, 96), "descriptor outside its region");
  EXPECT_TRUE(server.gone());
  EXPECT_EQ(server.count(&Told::violations), 1u);
  EXPECT_EQ(server.count(&Told::disconnects), 1u);
  EXPECT_TRUE(server.has_news(
      "memif port server: peer tester disconnected: descriptor outside its region"));
  server.leave();
}

// Whoever sees it go, without a moment between.
TEST(ConcurrentMemifHub, TellsWhyAsSoonAsAConnectionIsGone) {
  const std::string socket = socket_name("told");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  for (uint64_t i = 0; i < 100 && !HasFailure(); ++i) {
    RawPeer peer(socket);
    peer.join(0, memory, 65536);
    Link* const link = server.take();
    ASSERT_NE(link, nullptr);
    const char* const why = i % 2 ? "a rule" : "another rule";
    server.seat.violate(*link, why);
    const Time end = time_now() + kPatience;
    while (server.seat.wanted() != nullptr && time_now() < end) {
    }
    EXPECT_EQ(server.reason(), why);
    EXPECT_EQ(server.count(&Told::disconnects), i + 1);
    server.leave();
  }
}

TEST(ConcurrentMemifHub, SurvivesARegionThatIsCut) {
  const std::string socket = socket_name("cut");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536, false);
  RawPeer peer(socket);
  peer.join(0, memory, 65536);
  Link* const link = server.take();
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(ftruncate(memory.get(), 0), 0);
  EXPECT_EQ(*const_cast<volatile uint8_t*>(link->regions[0].base + 60000), 0);
  const Message bye = peer.hear();
  EXPECT_EQ(text_of(bye.disconnect.text, 96), "region was cut");
  EXPECT_TRUE(server.gone());
  EXPECT_EQ(server.count(&Told::violations), 1u);
  server.leave();
  EXPECT_TRUE(eventually([] { return memory_mappings("memfd:peer") == 0; }));
}

TEST(ConcurrentMemifHub, TakesNoMoreMessagesOnceConnected) {
  const std::string socket = socket_name("more");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  for (const MessageType type : {MessageType::kInit, MessageType::kConnect, MessageType{99}}) {
    RawPeer peer(socket);
    peer.join(0, memory, 65536);
    peer.say(message_of(type));
    const Message bye = peer.hear();
    EXPECT_EQ(bye.type, MessageType::kDisconnect);
    EXPECT_NE(text_of(bye.disconnect.text, 96).find("after the handshake"), std::string::npos);
  }
  EXPECT_TRUE(eventually([&] { return server.count(&Told::violations) == 3; }));
}

TEST(ConcurrentMemifHub, TellsTheReasonThoughMoreWasSentThanRead) {
  const std::string socket = socket_name("burst");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  RawPeer peer(socket);
  // Everything at once, with descriptors, the first of it wrong.
  EXPECT_TRUE(peer.say(init_message(44)));
  // The server may have hung up before the last of it.
  for (int i = 0; i < 5; ++i) peer.say(region_message(0, 65536), memory.get());
  EXPECT_EQ(peer.hear().type, MessageType::kHello);
  const Message bye = peer.hear();
  EXPECT_EQ(bye.type, MessageType::kDisconnect);
  EXPECT_EQ(text_of(bye.disconnect.text, 96), "unknown interface id 44");
}

TEST(ConcurrentMemifHub, KeepsNothingOfClientsThatDieOnTheWay) {
  const std::string socket = socket_name("die");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536, false);
  const size_t before = open_descriptors();
  for (int step = 0; step < 40; ++step) {
    RawPeer peer(socket);
    peer.hear();
    if (step % 4 > 0) peer.pass(init_message());
    if (step % 4 > 1) peer.pass(region_message(0, 65536), memory.get());
    const Fd event = event_file();
    if (step % 4 > 2) peer.say(ring_message(true, 0, 0), event.get());  // in flight
    if (step % 2) peer.say(region_message(1, 65536), memory.get());
  }
  EXPECT_TRUE(eventually([&] { return open_descriptors() == before; }));
  EXPECT_TRUE(eventually([] { return memory_mappings("memfd:peer") == 0; }));
  RawPeer peer(socket);
  peer.join(0, memory, 65536);
}

TEST(ConcurrentMemifHub, HasRoomForSoManyUnfinishedHandshakes) {
  const std::string socket = socket_name("many");
  HubPort server(wish_of(Role::kServer, socket));
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 17; ++i) {
    peers.push_back(std::make_unique<RawPeer>(socket));
    EXPECT_EQ(peers.back()->hear().type, MessageType::kHello);
  }
  EXPECT_TRUE(server.has_news("peer unknown refused: too many unfinished handshakes"));
  const Message bye = peers.front()->hear();
  EXPECT_EQ(text_of(bye.disconnect.text, 96), "too many unfinished handshakes");
  const Fd memory = memory_file(65536);
  peers[1]->pass(init_message());  // the others are still welcome
}

TEST(ConcurrentMemifHub, GivesAHandshakeSoMuchTime) {
  const std::string socket = socket_name("time");
  HubPort server(wish_of(Role::kServer, socket));
  RawPeer peer(socket);
  EXPECT_EQ(peer.hear().type, MessageType::kHello);
  peer.pass(init_message());
  const Message bye = peer.hear();
  EXPECT_EQ(text_of(bye.disconnect.text, 96), "the handshake took too long");
  EXPECT_TRUE(eventually(
      [&] { return server.has_news("peer tester refused: the handshake took too long"); }));
}

TEST(ConcurrentMemifHub, ALoopOfConnectionsDoesNotFloodTheNews) {
  const std::string socket = socket_name("flood");
  HubPort server(wish_of(Role::kServer, socket));
  for (int i = 0; i < 200; ++i) {
    RawPeer peer(socket);
    peer.hear();
    peer.say(init_message(77));
    EXPECT_EQ(peer.hear().type, MessageType::kDisconnect);
  }
  EXPECT_TRUE(eventually([&] { return server.count(&Told::refused) == 200; }));
  {
    const std::lock_guard hold(server.seat.told_lock);
    EXPECT_LE(server.seat.told.news.size(), Seat::kNewsMax);
    server.seat.told.news.clear();
  }
  RawPeer peer(socket);
  peer.hear();
  peer.say(init_message(77));
  peer.hear();
  EXPECT_TRUE(eventually([&] { return server.has_news(" lines left out"); }));
}

// A server by hand, that does what no server should.
struct RawServer {
  explicit RawServer(const std::string& name) {
    Address address;
    std::string error;
    EXPECT_TRUE(parse_address(name, &address, &error));
    EXPECT_TRUE(listener.open(name, address, &error)) << error;
  }
  Fd accept() {
    pollfd look{listener.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&look, 1, kPatienceMs), 1);
    return listener.accept();
  }
  static Message hello() {
    return ServerHandshake(1, [](uint32_t) { return Place{}; }).hello();
  }
  static bool hear(const Fd& fd, Heard* heard) {
    pollfd look{fd.get(), POLLIN, 0};
    return poll(&look, 1, kPatienceMs) == 1 && receive(fd.get(), heard) == Arrival::kMessage;
  }
  Listener listener;
};

TEST(ConcurrentMemifHub, AClientIsNotHurtByItsServer) {
  const std::string socket = socket_name("server");
  RawServer server(socket);
  const size_t before = open_descriptors();
  HubPort client(wish_of(Role::kClient, socket));
  ASSERT_TRUE(client.added);
  Heard heard;
  {  // What no server says first.
    const Fd fd = server.accept();
    send(fd.get(), message_of(MessageType::kConnected), -1);
    ASSERT_TRUE(RawServer::hear(fd, &heard));
    EXPECT_TRUE(eventually([&] { return client.reason() == "CONNECTED instead of HELLO"; }));
  }
  {  // libmemif's way to refuse.
    const Fd fd = server.accept();
    send(fd.get(), RawServer::hello(), -1);
    ASSERT_TRUE(RawServer::hear(fd, &heard));
    send(fd.get(), message_of(MessageType::kAck), -1);
  }
  EXPECT_TRUE(eventually([&] {
    return client.reason() == "peer closed the connection, it may not know id 0" ||
           client.reason() == "peer does not read";
  })) << client.reason();
  {  // Descriptors that nobody asked for.
    const Fd fd = server.accept();
    const Fd gift = memory_file(4096);
    send(fd.get(), RawServer::hello(), gift.get());
    EXPECT_TRUE(eventually([&] { return client.reason() == "HELLO with a descriptor"; }));
  }
  EXPECT_EQ(client.count(&Told::violations), 2u);
  client.close();
  client.hub.reset();
  EXPECT_TRUE(eventually([&] { return open_descriptors() <= before + 2; }));  // the seat's own
}

// --- the seat -----------------------------------------------------------------------------------

bool readable(int fd, int ms = 0) {
  pollfd look{fd, POLLIN, 0};
  return poll(&look, 1, ms) == 1;
}

TEST(ConcurrentMemifSeat, WakesItsQueueForConnectionsAndRings) {
  const std::string socket = socket_name("wake");
  HubPort server(wish_of(Role::kServer, socket));
  const int fd = server.seat.wait_fd(0);
  EXPECT_FALSE(readable(fd));
  const Fd memory = memory_file(65536);
  RawPeer peer(socket);
  peer.join(0, memory, 65536);
  EXPECT_TRUE(readable(fd, kPatienceMs));
  ASSERT_NE(server.take(), nullptr);
  server.seat.hush(0);
  EXPECT_FALSE(readable(fd));
  // A peer that makes its eventfds block stalls nobody.
  for (Fd& event : peer.events) fcntl(event.get(), F_SETFL, 0);
  for (int i = 0; i < 3; ++i) {
    const uint64_t one = 1;
    ASSERT_EQ(write(peer.events[true].get(), &one, sizeof one), 8);
    EXPECT_TRUE(readable(fd, kPatienceMs));
    server.seat.hush(0);
    EXPECT_FALSE(readable(fd));
  }
  const uint64_t one = 1;
  ASSERT_EQ(write(peer.events[false].get(), &one, sizeof one), 8);  // not what we receive
  EXPECT_FALSE(readable(fd));
  peer.fd.reset();
  EXPECT_TRUE(readable(fd, kPatienceMs));
  EXPECT_TRUE(server.gone());
  server.seat.hush(0);
  server.leave();
}

TEST(ConcurrentMemifSeat, FreesAWorkerThatAFullEventfdStalls) {
  const std::string socket = socket_name("full");
  HubPort server(wish_of(Role::kServer, socket));
  const Fd memory = memory_file(65536);
  RawPeer peer(socket);
  peer.join(0, memory, 65536);
  Link* const link = server.take();
  ASSERT_NE(link, nullptr);
  fcntl(peer.events[false].get(), F_SETFL, 0);
  const uint64_t full = ~uint64_t{0} - 1;
  ASSERT_EQ(write(peer.events[false].get(), &full, sizeof full), 8);
  const uint64_t one = 1;
  EXPECT_EQ(write(link->sending[0].fd, &one, sizeof one), 8);  // returns, sooner or later
  EXPECT_TRUE(server.gone());
  EXPECT_EQ(server.reason(), "an eventfd's counter is full");
  EXPECT_EQ(server.count(&Told::violations), 1u);
  server.leave();
}

TEST(ConcurrentMemifHub, AThousandConnectionsLeaveNothingBehind) {
  const std::string socket = socket_name("thousand");
  HubPort server(wish_of(Role::kServer, socket));
  const size_t before = open_descriptors();
  // A worker that takes what it is given and leaves what is taken away.
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    Link* in_use = nullptr;
    while (!stop) {
      Link* const wanted = server.seat.wanted();
      if (in_use != nullptr && wanted != in_use) {
        server.seat.leave(0);
        in_use = nullptr;
      }
      if (in_use == nullptr && wanted != nullptr && server.seat.take(0, wanted)) in_use = wanted;
      if (in_use != nullptr) {
        const volatile uint32_t cookie = in_use->receiving[0].head->cookie;
        ASSERT_EQ(cookie, kCookie);
      }
      std::this_thread::yield();
    }
    server.seat.leave(0);
  });
  const Fd memory = memory_file(65536, false);
  for (int i = 0; i < 1000; ++i) {
    RawPeer peer(socket);
    peer.join(0, memory, 65536);
    if (i % 3 == 0) peer.say(message_of(MessageType::kDisconnect));
    if (HasFailure()) break;
  }
  EXPECT_TRUE(eventually([&] { return server.count(&Told::disconnects) == 1000; }));
  stop = true;
  worker.join();
  EXPECT_EQ(server.count(&Told::connects), 1000u);
  EXPECT_EQ(server.count(&Told::violations), 0u);
  EXPECT_TRUE(eventually([&] { return open_descriptors() == before + 1; }));  // the memory's
  EXPECT_TRUE(eventually([] { return memory_mappings("memfd:peer") == 0; }));
}

TEST(ConcurrentMemifHub, PortsComeAndGoWhileTheirPeersDo) {
  const std::string socket = socket_name("churn");
  HubPort still(wish_of(Role::kServer, socket, 1));
  HubPort friendly(wish_of(Role::kClient, socket, 1));
  Link* const link = still.take();
  ASSERT_NE(link, nullptr);
  ASSERT_NE(friendly.take(), nullptr);
  std::thread ports([&] {
    for (int i = 0; i < 50; ++i) {
      HubPort port(wish_of(Role::kServer, socket, 2));
      EXPECT_TRUE(port.added) << port.error;
      HubPort other(wish_of(Role::kClient, socket, 2));
      EXPECT_TRUE(other.added) << other.error;
      if (i % 2) {
        EXPECT_NE(port.take(), nullptr);
      }
    }
  });
  const Fd memory = memory_file(65536);
  for (int i = 0; i < 200; ++i) {
    RawPeer peer(socket);
    peer.hear();
    if (i % 2) peer.say(init_message(2));
    if (i % 3) peer.say(region_message(0, 65536), memory.get());
  }
  ports.join();
  EXPECT_EQ(still.seat.wanted(), link);  // nobody noticed
  EXPECT_EQ(still.count(&Told::disconnects), 0u);
}

}  // namespace
}  // namespace nodeplane::memif
