// The hub's guests: clients that have not finished their handshake.
#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>

#include "driver/memif/hub_thread.h"

namespace nodeplane::memif {
namespace {

constexpr size_t kGuestsMax = 16;  // unfinished handshakes of one socket; the oldest makes room

}  // namespace

void HubThread::accept(Server& server) {
  errno = 0;
  Fd socket = server.listener.accept();
  if (!socket) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
    server.deaf_until = now_ + kLook;
    watch(server.listener.fd(), 0, EPOLL_CTL_MOD);
    return;
  }
  const auto is_ours = [&](const auto& guest) { return guest->server == &server; };
  if (static_cast<size_t>(std::count_if(guests_.begin(), guests_.end(), is_ours)) >= kGuestsMax) {
    const auto oldest = std::find_if(guests_.begin(), guests_.end(), is_ours);
    refuse_guest(**oldest, "too many unfinished handshakes", false);
    guests_.erase(oldest);
  }
  uint16_t queues = 1;
  for (const Member* member : server.members) queues = std::max(queues, member->wish.queues);
  const int fd = socket.get();
  auto guest = std::make_unique<Guest>(
      Guest{std::move(socket), &server,
            ServerHandshake(queues, [this, &server](uint32_t id) { return place(server, id); }),
            now_ + kHandshakeMax, std::nullopt});
  if (!send(fd, guest->handshake.hello(), -1) || !watch(fd, EPOLLIN)) return;
  guests_.push_back(std::move(guest));
}

Place HubThread::place(Server& server, uint32_t id) {
  for (Member* member : server.members) {
    if (member->wish.id != id) continue;
    // It may have gone and come again in one go.
    if (member->link != nullptr && !member->leaving) hear_peer(*member);
    if (member->leaving) finish(*member);
    return {&member->wish, member->link == nullptr ? Place::kFree
                           : member->leaving       ? Place::kLeaving
                                                   : Place::kTaken};
  }
  return {};
}

// These say whether the guest stays.
bool HubThread::hear_guest(Guest& guest, uint32_t events) {
  // Nothing is read while a message is parked, only the end is noticed.
  if (guest.parked) return (events & (EPOLLHUP | EPOLLERR)) == 0;
  Heard heard;
  switch (receive(guest.socket.get(), &heard)) {
    case Arrival::kNothing:
      return true;
    case Arrival::kEnd:
      return refuse_guest(guest, "peer closed the connection", false);
    case Arrival::kMessage:
      return answer_guest(guest, heard);
  }
  return false;
}

bool HubThread::answer_guest(Guest& guest, Heard& heard) {
  const Answer answer = guest.handshake.hear(heard);
  if (answer.wait) {
    guest.parked = std::move(heard);
    watch(guest.socket.get(), 0, EPOLL_CTL_MOD);
    return true;
  }
  if (!answer.refusal.empty()) return refuse_guest(guest, answer.refusal, answer.violation);
  if (!send(guest.socket.get(), answer.message, -1))
    return refuse_guest(guest, "peer does not read", false);
  if (!answer.complete) return true;
  for (Member* member : guest.server->members) {
    if (&member->wish != guest.handshake.wish()) continue;
    member->socket = std::move(guest.socket);
    watch(member->socket.get(), EPOLLIN, EPOLL_CTL_MOD);
    begin(*member, guest.handshake.take_link());
  }
  return false;
}

bool HubThread::refuse_guest(Guest& guest, const std::string& why, bool violation) {
  const Wish* const wish = guest.handshake.wish();
  // Who has not said for whom it came is told of by the socket's first port.
  Member* member = guest.server->members.front();
  for (Member* one : guest.server->members)
    if (&one->wish == wish) member = one;
  const std::lock_guard hold(member->seat->told_lock);
  send(guest.socket.get(), disconnect_message(why), -1);
  drain(guest.socket.get());
  ++member->seat->told.refused;
  if (violation) ++member->seat->told.violations;
  member->seat->told.last_reason = why;
  tell(*member, "peer " + guest.handshake.peer() + " refused: " + why);
  return false;
}

}  // namespace nodeplane::memif
