#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/thread.h"
#include "driver/memif/hub_thread.h"

namespace nodeplane::memif {
namespace {

constexpr Time kPauseMax = 2 * kSecond;
constexpr Time kLookLeaving = 5 * kMillisecond;
constexpr Time kNever = ~Time{0};
constexpr int kEventsMax = 64;

}  // namespace

// --- the thread ---------------------------------------------------------------------------------

bool HubThread::start(std::string* error) {
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  wake_ = Fd(thread_event());
  if (!epoll_ || !wake_ || !watch(wake_.get(), EPOLLIN)) {
    *error = std::string("memif: ") + std::strerror(errno);
    return false;
  }
  thread_ = std::thread([this] { run(); });
  return true;
}

HubThread::~HubThread() {
  {
    const std::lock_guard hold(lock_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  thread_wake(wake_.get());
  thread_.join();
}

void HubThread::run() {
  thread_settle("np-memif", -1);
  epoll_event events[kEventsMax];
  Time deadline = 0;
  for (;;) {
    const Time now = time_now();
    const Time left = deadline > now ? deadline - now : 0;
    const int ms =
        deadline == kNever ? -1 : static_cast<int>((left + kMillisecond - 1) / kMillisecond);
    const int n = epoll_wait(epoll_.get(), events, kEventsMax, ms);
    const std::lock_guard hold(lock_);
    if (stopping_) return;
    now_ = time_now();
    // A descriptor may have gone and come again since: all that listen to an event look for
    // themselves and are content with nothing.
    for (int i = 0; i < n; ++i) hear(events[i].data.fd, events[i].events);
    tick();
    deadline = next_deadline();
  }
}

bool HubThread::watch(int fd, uint32_t events, int how) const {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll_.get(), how, fd, &event) == 0;
}

void HubThread::hear(int fd, uint32_t events) {
  if (fd == wake_.get()) {
    uint64_t sink;
    [[maybe_unused]] const ssize_t n = read(fd, &sink, sizeof sink);
    return;
  }
  for (auto& server : servers_)
    if (server->listener.fd() == fd) return accept(*server);
  for (size_t i = 0; i < guests_.size(); ++i) {
    if (guests_[i]->socket.get() != fd) continue;
    if (!hear_guest(*guests_[i], events)) guests_.erase(guests_.begin() + static_cast<long>(i));
    return;
  }
  for (auto& member : members_) {
    if (member->socket.get() != fd) continue;
    return member->handshake ? hear_server(*member) : hear_peer(*member);
  }
}

void HubThread::tick() {
  for (auto& member : members_) {
    if (member->link != nullptr) look(*member);
    if (member->leaving) finish(*member);
    if (member->handshake && member->deadline <= now_)
      fail(*member, "the handshake took too long", false);
    const bool idle = !member->link && !member->handshake;
    if (member->server == nullptr && idle && member->try_at <= now_) connect(*member);
  }
  for (size_t i = 0; i < guests_.size();) {
    Guest& guest = *guests_[i];
    bool stays = true;
    if (guest.deadline <= now_) {
      stays = refuse_guest(guest, "the handshake took too long", false);
    } else if (guest.parked) {
      Heard heard = std::move(*guest.parked);
      guest.parked.reset();
      stays = answer_guest(guest, heard);
      if (stays && !guest.parked) watch(guest.socket.get(), EPOLLIN, EPOLL_CTL_MOD);
    }
    stays ? void(++i) : void(guests_.erase(guests_.begin() + static_cast<long>(i)));
  }
  for (auto& server : servers_) {
    if (server->deaf_until == 0 || server->deaf_until > now_) continue;
    server->deaf_until = 0;
    watch(server->listener.fd(), EPOLLIN, EPOLL_CTL_MOD);
  }
}

Time HubThread::next_deadline() const {
  Time next = kNever;
  for (const auto& member : members_) {
    if (member->leaving) next = std::min(next, now_ + kLookLeaving);
    if (member->link != nullptr) next = std::min(next, now_ + kLook);
    if (member->handshake) next = std::min(next, member->deadline);
    if (member->server == nullptr && !member->link && !member->handshake)
      next = std::min(next, member->try_at);
  }
  for (const auto& guest : guests_) next = std::min(next, guest->deadline);
  for (const auto& server : servers_)
    if (server->deaf_until != 0) next = std::min(next, server->deaf_until);
  return next;
}

// --- ports come and go --------------------------------------------------------------------------

bool HubThread::add(const Wish& wish, Seat* seat, std::string* error) {
  auto member = std::make_unique<Member>();
  member->wish = wish;
  member->seat = seat;
  *error = wish_fault(wish);
  if (!error->empty() || !parse_address(wish.socket, &member->address, error)) return false;
  const std::lock_guard hold(lock_);
  for (const auto& other : members_) {
    if (other->wish.role != wish.role || other->wish.id != wish.id ||
        !(other->address == member->address))
      continue;
    *error =
        wish.socket + ": id " + std::to_string(wish.id) + " belongs to port " + other->wish.port;
    return false;
  }
  if (wish.role == Role::kServer) {
    Server* server = server_of(member->address);
    if (server == nullptr) {
      auto made = std::make_unique<Server>();
      made->name = wish.socket;
      if (!made->listener.open(wish.socket, member->address, error)) return false;
      if (!watch(made->listener.fd(), EPOLLIN)) {
        *error = wish.socket + ": " + std::strerror(errno);
        return false;
      }
      server = made.get();
      servers_.push_back(std::move(made));
    }
    member->server = server;
    server->members.push_back(member.get());
  }
  seat->set_hub(wake_.get());
  members_.push_back(std::move(member));
  thread_wake(wake_.get());
  return true;
}

void HubThread::remove(Seat* seat) {
  const std::lock_guard hold(lock_);
  const auto at = std::find_if(members_.begin(), members_.end(),
                               [&](const auto& member) { return member->seat == seat; });
  if (at == members_.end()) return;
  Member& member = **at;
  if (member.link != nullptr && !member.leaving) end(member, "port closed", false, true);
  seat->set_hub(-1);
  if (Server* const server = member.server; server != nullptr) {
    // Guests point to the port's wish once they have said its id.
    std::erase_if(guests_, [&](const auto& guest) {
      return guest->handshake.wish() == &member.wish ||
             (guest->server == server && server->members.size() == 1);
    });
    std::erase(server->members, &member);
    if (server->members.empty())
      std::erase_if(servers_, [&](const auto& one) { return one.get() == server; });
  }
  members_.erase(at);
}

Server* HubThread::server_of(const Address& address) {
  for (auto& server : servers_)
    if (server->listener.address() == address) return server.get();
  return nullptr;
}

// --- a client's tries ---------------------------------------------------------------------------

void HubThread::connect(Member& member) {
  std::string why;
  member.handshake.emplace(member.wish);
  member.deadline = now_ + kHandshakeMax;
  member.socket = connect_to(member.address, &why);
  if (!member.socket) return fail(member, why, false);
  if (!watch(member.socket.get(), EPOLLIN)) fail(member, std::strerror(errno), false);
}

void HubThread::hear_server(Member& member) {
  Heard heard;
  const Arrival arrival = receive(member.socket.get(), &heard);
  if (arrival == Arrival::kNothing) return;
  // VPP and DPDK say why; libmemif acknowledges INIT and closes.
  if (arrival == Arrival::kEnd)
    return fail(member,
                member.handshake->introduced() ? "peer closed the connection, it may not know id " +
                                                     std::to_string(member.wish.id)
                                               : "peer closed the connection",
                false);
  const Answer answer = member.handshake->hear(heard);
  const bool sent = !answer.send || send(member.socket.get(), answer.message, answer.fd);
  if (!answer.refusal.empty()) return fail(member, answer.refusal, answer.violation);
  if (!sent) return fail(member, "peer does not read", false);
  if (!answer.complete) return;
  std::unique_ptr<OwnedLink> link = member.handshake->take_link();
  member.handshake.reset();
  begin(member, std::move(link));
}

void HubThread::fail(Member& member, const std::string& why, bool violation) {
  const std::lock_guard hold(member.seat->told_lock);
  if (member.socket) drain(member.socket.get());
  member.socket.reset();
  member.handshake.reset();
  member.try_at = now_ + member.pause;
  member.pause = std::min(2 * member.pause, kPauseMax);
  ++member.seat->told.refused;
  if (violation) ++member.seat->told.violations;
  member.seat->told.last_reason = why;
  if (member.failure != why) tell(member, "no connection to " + member.wish.socket + ": " + why);
  member.failure = why;
}

// --- connections --------------------------------------------------------------------------------
// What is told is locked while a connection is put in place, ended or refused: who finds it gone, or
// hears of its end as the peer, reads why.

void HubThread::begin(Member& member, std::unique_ptr<OwnedLink> link) {
  member.link = std::move(link);
  member.pause = kPauseMin;
  member.failure.clear();
  const std::lock_guard hold(member.seat->told_lock);
  ++member.seat->told.connects;
  member.seat->told.peer = member.link->peer;
  tell(member, "peer " + member.link->peer + " connected");
  member.seat->offer(member.link.get());
}

void HubThread::hear_peer(Member& member) {
  Heard heard;
  const Arrival arrival = receive(member.socket.get(), &heard);
  if (arrival == Arrival::kNothing) return;
  if (arrival == Arrival::kEnd) return end(member, "peer closed the connection", false, false);
  bool violation = false;
  const std::string why = end_reason(heard, &violation);
  end(member, why, violation, violation);
}

void HubThread::look(Member& member) {
  OwnedLink& link = *member.link;
  if (link.unstall()) {
    const char* none = nullptr;
    link.violation.compare_exchange_strong(none, "an eventfd's counter is full");
  }
  if (member.leaving) return;
  const char* why = link.violation.load(std::memory_order_acquire);
  // Looked at last: it explains what was found in the zeros.
  if (link.broken()) why = "region was cut";
  if (why != nullptr) end(member, why, true, true);
}

void HubThread::end(Member& member, const std::string& why, bool violation, bool say) {
  const std::lock_guard hold(member.seat->told_lock);
  if (say) send(member.socket.get(), disconnect_message(why), -1);
  drain(member.socket.get());
  member.socket.reset();
  member.seat->withdraw();
  member.leaving = true;
  ++member.seat->told.disconnects;
  if (violation) ++member.seat->told.violations;
  member.seat->told.peer.clear();
  member.seat->told.last_reason = why;
  tell(member, "peer " + member.link->peer + " disconnected: " + why);
}

void HubThread::finish(Member& member) {
  if (member.seat->is_used(member.link.get())) return;
  member.link.reset();
  member.leaving = false;
  member.try_at = now_ + member.pause;
}

void HubThread::tell(Member& member, const std::string& line) {
  const std::string whole = "memif port " + member.wish.port + ": ";
  auto& news = member.seat->told.news;
  if (news.size() + 2 > Seat::kNewsMax) {
    ++member.untold;
    return;
  }
  if (member.untold != 0) news.push_back(whole + std::to_string(member.untold) + " lines left out");
  member.untold = 0;
  news.push_back(whole + line);
}

std::shared_ptr<Hub> Hub::get(std::string* error) {
  static std::mutex lock;
  static std::weak_ptr<HubThread> present;
  const std::lock_guard hold(lock);
  if (auto hub = present.lock()) return hub;
  auto hub = std::make_shared<HubThread>();
  if (!hub->start(error)) return nullptr;
  present = hub;
  return hub;
}

}  // namespace nodeplane::memif
