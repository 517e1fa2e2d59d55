// Both roles of the hub against each other and against a peer by hand, through real sockets.
#include "driver/memif/hub.h"

#include <sys/stat.h>

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

}  // namespace
}  // namespace nodeplane::memif
