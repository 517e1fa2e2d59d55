#include "stage/parse/chain.h"

#include "wire/ipv6.h"

namespace nodeplane {

ChainEnd walk_chain(const uint8_t* p, uint32_t n, uint8_t next) noexcept {
  ChainEnd end{};
  for (uint32_t count = 0; wire::ipv6_is_extension(next); ++count) {
    const wire::Ipv6Extension* header = wire::check_ipv6_extension(p + end.bytes, n - end.bytes);
    if (header == nullptr || count == wire::kIpv6ExtensionCountMax) return end;
    // Hop-by-hop options stand first or not at all (RFC 8200 section 4.1).
    if (next == wire::kNextHopByHop && count != 0) return end;
    size_t bytes = header->bytes();
    if (next == wire::kNextFragment) {
      const wire::Ipv6Fragment* fragment = wire::check_ipv6_fragment(p + end.bytes, n - end.bytes);
      end.fragment = true;
      end.later_fragment = fragment->offset() != 0;
      bytes = sizeof(wire::Ipv6Fragment);  // its length byte is reserved (RFC 8200 section 4.5)
    } else if (next == wire::kNextAuthentication) {
      bytes = header->authentication_bytes();
      if (bytes % 8 != 0) return end;  // RFC 4302 section 2.2: 64-bit units in IPv6
    }
    if (bytes > n - end.bytes || end.bytes + bytes > wire::kIpv6ExtensionBytesMax) return end;
    end.bytes += static_cast<uint32_t>(bytes);
    next = header->next_header;
    if (end.later_fragment) break;
  }
  end.protocol = next;
  end.readable = true;
  return end;
}

}  // namespace nodeplane
