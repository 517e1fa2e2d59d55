#include "driver/memif/words.h"

#include <algorithm>
#include <cstring>

namespace nodeplane::memif {
namespace {

bool carries_fd(MessageType type) {
  return type == MessageType::kAddRegion || type == MessageType::kAddRing;
}

}  // namespace

const char* name_of(MessageType type) {
  constexpr const char* kNames[] = {"",         "ACK",     "HELLO",     "INIT",      "ADD_REGION",
                                    "ADD_RING", "CONNECT", "CONNECTED", "DISCONNECT"};
  const auto index = static_cast<size_t>(type);
  return index >= 1 && index < std::size(kNames) ? kNames[index] : "an unknown message";
}

std::string text_of(const uint8_t* bytes, size_t size) {
  std::string text;
  for (size_t i = 0; i < size && bytes[i] != 0; ++i)
    text += bytes[i] >= 0x20 && bytes[i] < 0x7f ? static_cast<char>(bytes[i]) : '?';
  return text;
}

void put_text(uint8_t* bytes, size_t size, const std::string& text) {
  std::memset(bytes, 0, size);
  std::memcpy(bytes, text.data(), std::min(size - 1, text.size()));
}

Message disconnect_message(const std::string& why) {
  Message message = message_of(MessageType::kDisconnect);
  put_text(message.disconnect.text, sizeof message.disconnect.text, why);
  return message;
}

Message message_of(MessageType type) {
  Message message;
  std::memset(static_cast<void*>(&message), 0, sizeof message);
  message.type = type;
  return message;
}

std::string shape_fault(const Heard& heard, Message* message) {
  if (heard.size != kMessageBytes)
    return "message of " + std::to_string(heard.size) + " bytes, not " +
           std::to_string(kMessageBytes);
  std::memcpy(message, heard.bytes, kMessageBytes);
  const size_t wanted = carries_fd(message->type) ? 1 : 0;
  if (heard.fds_cut || heard.fds.size() != wanted)
    return std::string(name_of(message->type)) + (wanted ? " without its one" : " with a") +
           " descriptor";
  return {};
}

std::string disconnect_reason(const Message& message) {
  const std::string text = text_of(message.disconnect.text, sizeof message.disconnect.text);
  return text.empty() ? "peer disconnected" : "peer says: " + text;
}

std::string end_reason(const Heard& heard, bool* violation) {
  Message message;
  std::string fault = shape_fault(heard, &message);
  *violation = true;
  if (!fault.empty()) return fault;
  if (message.type != MessageType::kDisconnect)
    return std::string(name_of(message.type)) + " after the handshake";
  *violation = false;
  return disconnect_reason(message);
}

}  // namespace nodeplane::memif
