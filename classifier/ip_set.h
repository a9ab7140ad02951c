// SPDX-License-Identifier: Apache-2.0
// Sets that rules refer to: addresses (from selectors and network sets) and (address, protocol,
// port) triples (from named ports and services).
//
// Both are built once by control from unordered input with duplicates and overlaps, and only
// read afterwards.  An AddressSet keeps disjoint address ranges, sorted; a PortSet keeps its
// triples, sorted.  Membership is a binary search: O(log n), no allocation.  An IPv6 prefix
// around the mapped IPv4 addresses, such as ::/0, does not hold these.
#ifndef SLUICE_CLASSIFIER_IP_SET_H_
#define SLUICE_CLASSIFIER_IP_SET_H_

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "classifier/intervals.h"
#include "classifier/types.h"

namespace sluice {

class AddressSet {
 public:
  struct Range {
    Address first;
    Address last;  // inclusive
    friend bool operator==(const Range&, const Range&) = default;
  };
  AddressSet() = default;
  explicit AddressSet(std::span<const Prefix> members);

  bool contains(const Address& address) const noexcept;
  std::span<const Range> ranges() const { return ranges_; }
  Intervals ip4() const;  // its IPv4 addresses
  friend bool operator==(const AddressSet&, const AddressSet&) = default;

 private:
  std::vector<Range> ranges_;  // sorted by first, disjoint, not adjacent
};

class PortSet {
 public:
  struct Member {
    Address address;
    uint8_t protocol = 0;
    uint16_t port = 0;  // host order
    friend auto operator<=>(const Member&, const Member&) = default;
  };
  PortSet() = default;
  explicit PortSet(std::span<const Member> members);

  bool contains(const Member& member) const noexcept;
  std::span<const Member> members() const { return members_; }
  friend bool operator==(const PortSet&, const PortSet&) = default;

 private:
  std::vector<Member> members_;  // sorted, unique
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_IP_SET_H_
