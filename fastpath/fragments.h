// SPDX-License-Identifier: Apache-2.0
// What the first fragment of a datagram said about its flow and what became of it, for the
// later ones, which carry no ports.  Fragments are forwarded as they come; nothing is put
// together.
//
// Owned by one worker.  Fixed: kRecords records in buckets of four by a hash of (source,
// destination, protocol, id, ingress port); the oldest of the bucket gives way.  A record lives
// 30 s.  Source: reliability rules, section 4.
#ifndef SLUICE_FASTPATH_FRAGMENTS_H_
#define SLUICE_FASTPATH_FRAGMENTS_H_

#include <array>
#include <cstdint>
#include <memory>

#include "fastpath/conntrack.h"
#include "fastpath/packet.h"

namespace sluice {

class Fragments {
 public:
  Fragments() : buckets_(std::make_unique<Bucket[]>(kBuckets)) {}

  // Remembers the flow of a first fragment.
  void remember(const Parsed& first, uint16_t id, PortId port, Nanos now) noexcept;
  // The first fragment was dropped for `reason`, and so are the later ones.
  void refuse(const Parsed& first, uint16_t id, PortId port, DropReason reason) noexcept;
  // Completes what the first said for a later fragment: tuple, ICMP type and quote.  Returns
  // none, the reason why the first was dropped, or frag_no_head when none is known.
  DropReason complete(Parsed& later, uint16_t id, PortId port, Nanos now) const noexcept;

 private:
  static constexpr uint32_t kBuckets = 4096;
  static constexpr Nanos kLife = 30u * uint64_t{1000000000};
  struct Record {
    Tuple4 tuple;
    Nanos until = 0;
    uint16_t id = 0;
    PortId port = kNoPort;
    uint8_t icmp_type = 0;
    uint8_t icmp_code = 0;
    bool icmp_error = false;
    DropReason reason = DropReason::none;
    Tuple4 quoted;
  };
  using Bucket = std::array<Record, 4>;
  static uint32_t hash(const Tuple4& t, uint16_t id, PortId port) noexcept;
  static bool same(const Record& r, const Tuple4& t, uint16_t id, PortId port) noexcept;

  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_FRAGMENTS_H_
