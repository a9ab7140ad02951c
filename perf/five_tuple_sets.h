// SPDX-License-Identifier: Apache-2.0
// Random five-tuple rule lists with the structure of real filter sets, and traces over them.
//
// Written from the published description of ClassBench (Taylor, Turner, INFOCOM 2005), not from
// its code or its seed files: a shape gives the mix of prefix length pairs, how strongly
// addresses share and nest, the mix of port classes (wildcard WC, high HI 1024-65535, low LO
// 0-1023, arbitrary range AR, exact EM) for each kind of protocol, and the mix of protocols.
// `acl`, `fw` and `ipc` follow the three families of that paper; `acl-b`, `fw-b` and `ipc-b`
// are variations: other lengths, other nesting, other ports, so that no choice fits one family
// only.  The same shape, size and seed give the same list.
#ifndef SLUICE_PERF_FIVE_TUPLE_SETS_H_
#define SLUICE_PERF_FIVE_TUPLE_SETS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/forest.h"
#include "classifier/result.h"

namespace sluice::perf {

struct LengthPair {  // of prefixes: drawn from both ranges, equally likely
  unsigned weight;
  uint8_t src_low, src_high, dst_low, dst_high;
};
struct PortMix {  // weights
  unsigned wc, hi, lo, ar, em;
};
struct ProtocolMix {
  unsigned weight;
  uint8_t protocol;
  bool any;
  PortMix src, dst;  // both WC for protocols without ports
};
struct Nesting {
  unsigned reuse;       // in 100: how often an address is one of an earlier rule
  uint8_t branches[4];  // how many different values each byte of an address has, per parent
  double skew;          // 1: all values equally likely; more: the first ones favoured
};
struct Shape {
  std::string_view name;
  std::vector<LengthPair> lengths;
  std::vector<ProtocolMix> protocols;
  Nesting src, dst;
  unsigned
      ports;  // different exact ports, and ranges, in a thousand rules; grows with the root
};

std::span<const Shape> shapes();
const Shape* find_shape(std::string_view name);  // null if there is none

// `count` different rules, or as many as the shape has room for.  More specific rules come
// first, roughly, as administrators write them.
std::vector<FiveTupleRule> make_rules(const Shape& shape, size_t count, uint64_t seed);

// Rules in the format of ClassBench's filter sets, a line each:
// @10.0.0.0/8 10.1.0.0/16 0 : 65535 80 : 80 0x06/0xFF; what follows is ignored.
Result<std::vector<FiveTupleRule>> read_rules(const std::string& path);

// Packets inside of rules, every rule equally often, in random order.
std::vector<FiveTuple> make_trace(std::span<const FiveTupleRule> rules, size_t count,
                                  uint64_t seed);

size_t count_distinct(std::vector<FiveTuple> trace);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_FIVE_TUPLE_SETS_H_
