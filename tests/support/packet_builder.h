// SPDX-License-Identifier: Apache-2.0
// Frames for tests, built layer by layer, right by default and wrong on request:
//
//   Frame().ip4("10.0.0.1", "10.0.0.2").ttl(3).udp(1000, 53).payload(20).build()
//
// An Ethernet header to kOwnMac stands in front unless said otherwise.  Lengths and checksums
// are filled in by build(), with plain 16-bit sums that share nothing with the code under test.
// Setters such as ttl() or length() change the layer added last.  Also: EAL and a buffer pool
// for tests (no huge pages, no root), and frames as mbufs.
#ifndef SLUICE_TESTS_SUPPORT_PACKET_BUILDER_H_
#define SLUICE_TESTS_SUPPORT_PACKET_BUILDER_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "classifier/types.h"
#include "fastpath/buffers.h"
#include "fastpath/packet.h"

namespace sluice::test {

using Bytes = std::vector<uint8_t>;

inline constexpr MacAddress kOwnMac{{2, 0, 0, 0, 0, 1}};
inline constexpr MacAddress kPeerMac{{2, 0, 0, 0, 0, 2}};
inline constexpr MacAddress kBroadcastMac{{255, 255, 255, 255, 255, 255}};

inline Ip4 ip(std::string_view text) {
  return parse_address(text).value().v4();
}
inline Address ip6(std::string_view text) {
  return parse_address(text).value();
}

// RFC 1071 the slow way: over 16-bit words, not complemented.
inline uint16_t plain_sum(const Bytes& bytes, uint32_t initial = 0) {
  uint32_t sum = initial;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

inline void put16(Bytes& out, size_t at, uint16_t value) {
  out[at] = static_cast<uint8_t>(value >> 8);
  out[at + 1] = static_cast<uint8_t>(value);
}
inline uint16_t get16(const Bytes& in, size_t at) {
  return static_cast<uint16_t>(in[at] << 8 | in[at + 1]);
}
inline void put32(Bytes& out, size_t at, uint32_t value) {
  put16(out, at, static_cast<uint16_t>(value >> 16));
  put16(out, at + 2, static_cast<uint16_t>(value));
}
inline Bytes slice(const Bytes& in, size_t from, size_t count = SIZE_MAX) {
  const size_t end = from + std::min(count, in.size() - from);
  return {in.begin() + static_cast<std::ptrdiff_t>(from),
          in.begin() + static_cast<std::ptrdiff_t>(end)};
}

// Sum of the pseudo-header of an L4 segment of `bytes` bytes.
inline uint16_t pseudo_sum(Ip4 src, Ip4 dst, uint8_t protocol, uint16_t bytes) {
  Bytes pseudo(12);
  put32(pseudo, 0, src.value);
  put32(pseudo, 4, dst.value);
  pseudo[9] = protocol;
  put16(pseudo, 10, bytes);
  return plain_sum(pseudo);
}

inline void put_address(Bytes& out, size_t at, const Address& address) {
  for (size_t i = 0; i < 8; ++i) {
    out[at + i] = static_cast<uint8_t>(address.hi >> (56 - 8 * i));
    out[at + 8 + i] = static_cast<uint8_t>(address.lo >> (56 - 8 * i));
  }
}

class Frame {
 public:
  Frame() {
    add(Kind::ether, Bytes(14));
    ether(kOwnMac, kPeerMac);
  }

  // ---- Ethernet and ARP
  Frame& ether(MacAddress dst, MacAddress src) {
    Bytes& h = layers_.front().head;
    std::memcpy(h.data(), dst.bytes, 6);
    std::memcpy(h.data() + 6, src.bytes, 6);
    return *this;
  }
  Frame& type(uint16_t ethertype) {
    put16(layers_.front().head, 12, ethertype);
    return *this;
  }
  Frame& arp(uint16_t operation, MacAddress sender_mac, std::string_view sender,
             std::string_view target) {
    type(kTypeArp);
    Bytes h{0, 1, 8, 0, 6, 4};
    h.resize(28);
    put16(h, 6, operation);
    std::memcpy(h.data() + 8, sender_mac.bytes, 6);
    put32(h, 14, ip(sender).value);
    put32(h, 24, ip(target).value);
    return add(Kind::raw, h);
  }

  // ---- IPv4
  Frame& ip4(std::string_view src, std::string_view dst) {
    if (layers_.size() == 1) {
      type(kTypeIp4);
    }
    next_protocol(proto::kIpip);
    Bytes h(20);
    h[0] = 0x45;
    h[8] = 64;
    h[9] = 253;  // for experiments, until a layer follows
    put32(h, 12, ip(src).value);
    put32(h, 16, ip(dst).value);
    return add(Kind::ip4, h);
  }
  // ---- IPv6
  Frame& ip6(std::string_view src, std::string_view dst) {
    if (layers_.size() == 1) {
      type(kTypeIp6);
    }
    next_protocol(proto::kIp6);
    Bytes h(40);
    h[0] = 0x60;
    h[6] = 253;
    h[7] = 64;
    put_address(h, 8, test::ip6(src));
    put_address(h, 24, test::ip6(dst));
    return add(Kind::ip6, h);
  }
  Frame& hops(uint8_t value) { return set8(7, value); }
  Frame& set_first(uint8_t value) { return set8(0, value); }
  // An extension header of this type, as it stands but for its first byte.
  Frame& extension(uint8_t type, Bytes body) {
    next_protocol(type);
    body[0] = 253;
    return add(Kind::extension, body);
  }
  // `offset` in units of 8 bytes.
  Frame& fragment6(uint32_t id, uint16_t offset, bool more) {
    Bytes h(8);
    put16(h, 2, static_cast<uint16_t>(offset << 3 | (more ? 1 : 0)));
    put32(h, 4, id);
    return extension(44, h);
  }
  Frame& icmp6(uint8_t type, uint8_t code, uint16_t high, uint16_t low) {
    next_protocol(proto::kIcmp6);
    Bytes h{type, code, 0, 0, 0, 0, 0, 0};
    put16(h, 4, high);
    put16(h, 6, low);
    return add(Kind::icmp6, h);
  }
  Frame& echo6(uint16_t identifier) { return icmp6(128, 0, identifier, 1); }
  // A solicitation (135) or advertisement (136) with its link address.
  Frame& nd(uint8_t type, std::string_view target, MacAddress link) {
    icmp6(type, 0, 0, 0);
    Bytes& h = layers_.back().head;
    h.resize(32);
    put_address(h, 8, test::ip6(target));
    h[24] = type == 135 ? 1 : 2;
    h[25] = 1;
    std::memcpy(h.data() + 26, link.bytes, 6);
    return *this;
  }

  // ---- details of IPv4
  Frame& version_ihl(uint8_t value) { return set8(0, value); }
  Frame& tos(uint8_t value) { return set8(1, value); }
  Frame& id(uint16_t value) { return set16(4, value); }
  Frame& df() { return set8(6, 0x40); }
  // `offset` in units of 8 bytes.
  Frame& fragment(uint16_t offset, bool more) {
    return set16(6, static_cast<uint16_t>(offset | (more ? 0x2000 : 0)));
  }
  Frame& ttl(uint8_t value) { return set8(8, value); }
  Frame& protocol(uint8_t value) {
    layers_.back().own_protocol = true;
    return set8(9, value);
  }
  // REQUIRES: a multiple of 4 bytes.
  Frame& options(const Bytes& list) {
    Bytes& h = layers_.back().head;
    h.insert(h.end(), list.begin(), list.end());
    h[0] = static_cast<uint8_t>(0x40 | h.size() / 4);
    return *this;
  }

  // ---- L4
  Frame& tcp(uint16_t src, uint16_t dst, uint8_t flags, uint32_t seq = 1, uint32_t ack = 0) {
    next_protocol(proto::kTcp);
    Bytes h(20);
    put16(h, 0, src);
    put16(h, 2, dst);
    put32(h, 4, seq);
    put32(h, 8, ack);
    h[12] = 0x50;
    h[13] = flags;
    put16(h, 14, 8192);
    return add(Kind::tcp, h);
  }
  Frame& data_offset(uint8_t words) { return set8(12, static_cast<uint8_t>(words << 4)); }
  Frame& udp(uint16_t src, uint16_t dst) {
    next_protocol(proto::kUdp);
    Bytes h(8);
    put16(h, 0, src);
    put16(h, 2, dst);
    return add(Kind::udp, h);
  }
  Frame& sctp(uint16_t src, uint16_t dst) {
    next_protocol(proto::kSctp);
    Bytes h(12);
    put16(h, 0, src);
    put16(h, 2, dst);
    return add(Kind::raw, h);
  }
  // `low` is the sequence number of a query or the next-hop MTU of an error.
  Frame& icmp(uint8_t type, uint8_t code, uint16_t high, uint16_t low) {
    next_protocol(proto::kIcmp);
    Bytes h{type, code, 0, 0, 0, 0, 0, 0};
    put16(h, 4, high);
    put16(h, 6, low);
    return add(Kind::icmp, h);
  }
  Frame& echo(uint16_t identifier) { return icmp(8, 0, identifier, 1); }

  // ---- what follows, and wrong values
  Frame& payload(size_t count) {
    Bytes body(count);
    for (size_t i = 0; i < count; ++i) {
      body[i] = static_cast<uint8_t>(i * 7 + 1);
    }
    return add(Kind::raw, body);
  }
  Frame& raw(const Bytes& body) { return add(Kind::raw, body); }
  // The layer's length field, whatever is there.
  Frame& length(uint16_t value) {
    layers_.back().length = value;
    return *this;
  }
  Frame& checksum(uint16_t value) {
    layers_.back().checksum = value;
    return *this;
  }
  // The checksum as a kernel leaves it to the device: the pseudo-header's sum.
  Frame& unfinished() {
    layers_.back().unfinished = true;
    return *this;
  }
  // Cuts the built frame to `count` bytes, or pads it with zeros; lengths inside stay.
  Frame& cut(size_t count) {
    cut_ = count;
    return *this;
  }

  Bytes build() const {
    Bytes body;
    for (size_t i = layers_.size(); i-- > 0;) {
      Bytes whole = layers_[i].head;
      whole.insert(whole.end(), body.begin(), body.end());
      finish(i, whole);
      body = std::move(whole);
    }
    if (cut_) {
      body.resize(*cut_);
    }
    return body;
  }
  operator Bytes() const { return build(); }

 private:
  enum class Kind : uint8_t { ether, ip4, ip6, extension, tcp, udp, icmp, icmp6, raw };
  struct Layer {
    Kind kind;
    Bytes head;
    std::optional<uint16_t> length;
    std::optional<uint16_t> checksum;
    bool unfinished = false;
    bool own_protocol = false;
  };
  Frame& add(Kind kind, const Bytes& head) {
    layers_.push_back({kind, head, {}, {}, false, false});
    return *this;
  }
  Frame& set8(size_t at, uint8_t value) {
    layers_.back().head[at] = value;
    return *this;
  }
  Frame& set16(size_t at, uint16_t value) {
    put16(layers_.back().head, at, value);
    return *this;
  }
  void next_protocol(uint8_t value) {
    Layer& last = layers_.back();
    if (last.own_protocol) {
      return;
    }
    if (last.kind == Kind::ip4) {
      last.head[9] = value;
    } else if (last.kind == Kind::ip6) {
      last.head[6] = value;
    } else if (last.kind == Kind::extension) {
      last.head[0] = value;
    }
  }

  // Fills length and checksum of layer `i`, which starts `whole`.
  void finish(size_t i, Bytes& whole) const {
    const Layer& layer = layers_[i];
    const auto size = static_cast<uint16_t>(whole.size());
    switch (layer.kind) {
      case Kind::ip4: {
        put16(whole, 2, layer.length.value_or(size));
        const Bytes head = slice(whole, 0, layer.head.size());
        put16(whole, 10, layer.checksum.value_or(static_cast<uint16_t>(~plain_sum(head))));
        return;
      }
      case Kind::ip6:
        put16(whole, 4, layer.length.value_or(static_cast<uint16_t>(size - 40)));
        return;
      case Kind::icmp6:
        finish_l4(i, whole, 2, proto::kIcmp6);
        return;
      case Kind::udp:
        put16(whole, 4, layer.length.value_or(size));
        finish_l4(i, whole, 6, proto::kUdp);
        return;
      case Kind::tcp:
        finish_l4(i, whole, 16, proto::kTcp);
        return;
      case Kind::icmp:
        put16(whole, 2, layer.checksum.value_or(static_cast<uint16_t>(~plain_sum(whole))));
        return;
      case Kind::ether:
      case Kind::extension:
      case Kind::raw:
        return;
    }
  }
  void finish_l4(size_t i, Bytes& whole, size_t field, uint8_t protocol) const {
    const Layer& layer = layers_[i];
    size_t below = i - 1;
    while (layers_[below].kind == Kind::extension) {
      --below;
    }
    const Bytes& outer = layers_[below].head;
    const uint16_t covered =
        protocol == proto::kUdp ? get16(whole, 4) : static_cast<uint16_t>(whole.size());
    uint16_t pseudo = 0;
    if (layers_[below].kind == Kind::ip6) {
      Bytes header = slice(outer, 8, 32);
      header.resize(40);
      put16(header, 34, covered);
      header[39] = protocol;
      pseudo = plain_sum(header);
    } else {
      const Ip4 src{uint32_t{get16(outer, 12)} << 16 | get16(outer, 14)};
      const Ip4 dst{uint32_t{get16(outer, 16)} << 16 | get16(outer, 18)};
      pseudo = pseudo_sum(src, dst, protocol, covered);
    }
    auto sum = static_cast<uint16_t>(~plain_sum(slice(whole, 0, covered), pseudo));
    if (protocol == proto::kUdp && sum == 0) {
      sum = 0xffff;
    }
    put16(whole, field, layer.checksum.value_or(layer.unfinished ? pseudo : sum));
  }

  std::vector<Layer> layers_;
  std::optional<size_t> cut_;
};

// ---- buffers -----------------------------------------------------------------------------

// Starts EAL once per test program; a test that needs buffers just asks for pool().
inline void start_eal() {
  static const bool up = [] {
    static char args[][24] = {"test", "--no-shconf", "--no-huge", "--no-pci", "--no-telemetry"};
    std::vector<char*> argv;
    for (char* arg : args) {
      argv.push_back(arg);
    }
    argv.push_back(nullptr);
    return rte_eal_init(static_cast<int>(argv.size()) - 1, argv.data()) >= 0;
  }();
  if (!up) {
    ADD_FAILURE() << "EAL does not start: " << rte_strerror(rte_errno);
    std::abort();
  }
}

inline rte_mempool* pool() {
  start_eal();
  static rte_mempool* const made = rte_pktmbuf_pool_create(
      "test", 1023, 0, kPrivateBytes, RTE_PKTMBUF_HEADROOM + kFrameRoom, SOCKET_ID_ANY);
  return made;
}

// A frame in a buffer, given back at the end of the scope.
class Buffer {
 public:
  // In segments of `sizes` bytes each; the last one takes the rest.
  explicit Buffer(const Bytes& bytes, std::initializer_list<size_t> sizes = {}) {
    size_t at = 0;
    for (const size_t size : sizes) {
      append(slice(bytes, at, size));
      at += size;
    }
    append(slice(bytes, at));
  }
  explicit Buffer(rte_mbuf* taken) : frame_(taken) {}
  Buffer() : frame_(rte_pktmbuf_alloc(pool())) {}
  ~Buffer() { rte_pktmbuf_free(frame_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  rte_mbuf* get() const { return frame_; }
  operator rte_mbuf*() const { return frame_; }
  Bytes bytes() const {
    Bytes out(frame_->pkt_len);
    const void* read = rte_pktmbuf_read(frame_, 0, frame_->pkt_len, out.data());
    if (read != out.data() && !out.empty()) {
      std::memcpy(out.data(), read, out.size());
    }
    return out;
  }

 private:
  void append(const Bytes& bytes) {
    rte_mbuf* segment = rte_pktmbuf_alloc(pool());
    void* to = rte_pktmbuf_append(segment, static_cast<uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(to));
    if (frame_ == nullptr) {
      frame_ = segment;
    } else if (rte_pktmbuf_chain(frame_, segment) != 0) {
      std::abort();
    }
  }
  rte_mbuf* frame_ = nullptr;
};

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_PACKET_BUILDER_H_
