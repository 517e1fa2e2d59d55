#pragma once
#include <string>
#include <vector>

#include "driver/memif/owned.h"
#include "driver/memif/wire.h"

namespace nodeplane::memif {

inline constexpr char kOurName[] = "nodeplane";

// One message as it arrived, with the descriptors that came along.
struct Heard {
  uint8_t bytes[kMessageBytes];
  size_t size = 0;  // as sent; more than kMessageBytes: cut
  std::vector<Fd> fds;
  bool fds_cut = false;  // there were more than there was room for
};

// A text of fixed size on the wire, for people: what is not printable becomes a question mark.
std::string text_of(const uint8_t* bytes, size_t size);
void put_text(uint8_t* bytes, size_t size, const std::string& text);
Message message_of(MessageType type);  // all else zero
Message disconnect_message(const std::string& why);
const char* name_of(MessageType type);

// What holds for every message, whatever is expected: size and descriptors. Empty: it does.
std::string shape_fault(const Heard& heard, Message* message);
std::string disconnect_reason(const Message& message);
// After the handshake only DISCONNECT is legal. Why the connection ends; `violation` says whose fault.
std::string end_reason(const Heard& heard, bool* violation);

}  // namespace nodeplane::memif
