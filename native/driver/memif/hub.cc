#include "driver/memif/hub.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "base/thread.h"
#include "base/time.h"
#include "driver/memif/handshake.h"
#include "driver/memif/socket.h"

namespace nodeplane::memif {
namespace {

constexpr Time kHandshakeMax = 5 * kSecond;
constexpr size_t kGuestsMax = 16;  // unfinished handshakes of one socket; the oldest makes room
constexpr Time kPauseMin = 100 * kMillisecond;  // of a client between two tries, doubling
constexpr Time kPauseMax = 2 * kSecond;
constexpr Time kLook = 100 * kMillisecond;  // for cut regions and filled eventfds
constexpr Time kLookLeaving = 5 * kMillisecond;
constexpr Time kNever = ~Time{0};
constexpr int kEventsMax = 64;

struct Server;

// One port, its connection and what leads to it.
struct Member {
  Wish wish;
  Address address;
  Seat* seat = nullptr;
  Server* server = nullptr;  // null: a client
  Fd socket;                 // of the connection, or of a client's handshake
  std::unique_ptr<OwnedLink> link;
  bool leaving = false;  // the link is withdrawn, queues may still use it
  std::optional<ClientHandshake> handshake;
  Time deadline = 0;  // of the handshake
  Time try_at = 0;
  Time pause = kPauseMin;
  std::string failure;  // told last, of a client that cannot connect
  uint64_t untold = 0;  // lines of news for which there was no room
};

struct Server {
  Listener listener;
  std::string name;
  std::vector<Member*> members;
  Time deaf_until = 0;  // there was no descriptor for another guest
};

// A client that has not finished its handshake.
struct Guest {
  Fd socket;
  Server* server;
  ServerHandshake handshake;
  Time deadline;
  std::optional<Heard> parked;  // until the id's last connection is gone
};

class HubThread final : public Hub {
 public:
  ~HubThread() override;
  bool start(std::string* error);
  bool add(const Wish& wish, Seat* seat, std::string* error) override;
  void remove(Seat* seat) override;

 private:
  void run();
  Time next_deadline() const;
  void hear(int fd, uint32_t events);
  void tick();
  bool watch(int fd, uint32_t events, int how = EPOLL_CTL_ADD) const;

  Server* server_of(const Address& address);
  void accept(Server& server);
  bool hear_guest(Guest& guest, uint32_t events);
  bool answer_guest(Guest& guest, Heard& heard);
  bool refuse_guest(Guest& guest, const std::string& why, bool violation);
  Place place(Server& server, uint32_t id);

  void connect(Member& member);
  void hear_server(Member& member);
  void fail(Member& member, const std::string& why, bool violation);

  void begin(Member& member, std::unique_ptr<OwnedLink> link);
  void hear_peer(Member& member);
  void look(Member& member);
  void end(Member& member, const std::string& why, bool violation, bool say);
  void finish(Member& member);
  void tell(Member& member, const std::string& line);

  std::mutex lock_;  // over all that follows
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Guest>> guests_;  // oldest first
  bool stopping_ = false;
  Fd epoll_, wake_;
  Time now_ = 0;
  std::thread thread_;
};

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

// --- guests of a server -------------------------------------------------------------------------

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
  send(guest.socket.get(), disconnect_message(why), -1);
  drain(guest.socket.get());
  const Wish* const wish = guest.handshake.wish();
  // Who has not said for whom it came is told of by the socket's first port.
  Member* member = guest.server->members.front();
  for (Member* one : guest.server->members)
    if (&one->wish == wish) member = one;
  {
    const std::lock_guard hold(member->seat->told_lock);
    ++member->seat->told.refused;
    if (violation) ++member->seat->told.violations;
    member->seat->told.last_reason = why;
  }
  tell(*member, "peer " + guest.handshake.peer() + " refused: " + why);
  return false;
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
  if (member.socket) drain(member.socket.get());
  member.socket.reset();
  member.handshake.reset();
  member.try_at = now_ + member.pause;
  member.pause = std::min(2 * member.pause, kPauseMax);
  {
    const std::lock_guard hold(member.seat->told_lock);
    ++member.seat->told.refused;
    if (violation) ++member.seat->told.violations;
    member.seat->told.last_reason = why;
  }
  if (member.failure != why) tell(member, "no connection to " + member.wish.socket + ": " + why);
  member.failure = why;
}

// --- connections --------------------------------------------------------------------------------

void HubThread::begin(Member& member, std::unique_ptr<OwnedLink> link) {
  member.link = std::move(link);
  member.pause = kPauseMin;
  member.failure.clear();
  {
    const std::lock_guard hold(member.seat->told_lock);
    ++member.seat->told.connects;
    member.seat->told.peer = member.link->peer;
  }
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
  // The reason first that explains the others.
  if (link.broken()) return end(member, "region was cut", true, true);
  if (const char* why = link.violation.load(std::memory_order_acquire))
    end(member, why, true, true);
}

void HubThread::end(Member& member, const std::string& why, bool violation, bool say) {
  if (say) send(member.socket.get(), disconnect_message(why), -1);
  drain(member.socket.get());
  member.socket.reset();
  member.seat->withdraw();
  member.leaving = true;
  {
    const std::lock_guard hold(member.seat->told_lock);
    ++member.seat->told.disconnects;
    if (violation) ++member.seat->told.violations;
    member.seat->told.peer.clear();
    member.seat->told.last_reason = why;
  }
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
  const std::lock_guard hold(member.seat->told_lock);
  auto& news = member.seat->told.news;
  if (news.size() + 2 > Seat::kNewsMax) {
    ++member.untold;
    return;
  }
  if (member.untold != 0) news.push_back(whole + std::to_string(member.untold) + " lines left out");
  member.untold = 0;
  news.push_back(whole + line);
}

}  // namespace

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
