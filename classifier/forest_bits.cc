// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_bits.h"

#include <algorithm>
#include <bit>

#include "classifier/forest_layout.h"

namespace sluice::forest {
namespace {

constexpr size_t kSample = 8192;
constexpr size_t kChildrenPerRule = 2;  // that are added for a rule in a part still too large
constexpr unsigned kKeyBytes = kKeyBits / 8;

// A part that one block holds costs nothing more; else reaching a rule in it costs its size.
uint64_t cost_of(uint32_t size) {
  return size <= kBlockRules ? 0 : uint64_t{size} * size;
}

// Byte b as eight bytes, each one bit of it.
constexpr std::array<uint64_t, 256> kSpread = [] {
  std::array<uint64_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      table[byte] |= uint64_t{byte >> bit & 1} << (8 * bit);
    }
  }
  return table;
}();

// Adds up, for each of the 104 bits, in how many vectors it is set; 255 vectors at most.
struct ByteCounters {
  std::array<uint64_t, kKeyBytes> sums{};
  void add(uint64_t low, uint64_t high) {
    for (unsigned i = 0; i < 8; ++i) {
      sums[i] += kSpread[low >> (8 * i) & 0xff];
    }
    for (unsigned i = 0; i < kKeyBytes - 8; ++i) {
      sums[8 + i] += kSpread[high >> (8 * i) & 0xff];
    }
  }
  void pour_into(std::array<uint16_t, kKeyBits>& counts) {
    for (unsigned bit = 0; bit < kKeyBits; ++bit) {
      counts[bit] =
          static_cast<uint16_t>(counts[bit] + (sums[bit / 8] >> (bit % 8 * 8) & 0xff));
    }
    sums.fill(0);
  }
};

// The leading bits that all ports of the range have in common.
uint16_t common_bits(PortRange range) {
  const unsigned differ = static_cast<unsigned>(range.low ^ range.high);
  return static_cast<uint16_t>(~((1u << std::bit_width(differ)) - 1));
}

}  // namespace

Ternary Ternary::of(const FiveTupleRule& rule) {
  Ternary t;
  t.care[0] = uint64_t{FiveTupleRule::mask(rule.dst_length)} << 32 |
              FiveTupleRule::mask(rule.src_length);
  t.value[0] = (uint64_t{rule.dst} << 32 | rule.src) & t.care[0];
  const uint64_t protocol_care = rule.any_protocol ? 0 : 0xff;
  t.care[1] = protocol_care << 32 | uint64_t{common_bits(rule.dst_port)} << 16 |
              common_bits(rule.src_port);
  t.value[1] =
      (uint64_t{rule.protocol} << 32 | uint64_t{rule.dst_port.low} << 16 | rule.src_port.low) &
      t.care[1];
  return t;
}

void BitChooser::sample(std::span<const Ternary> all, std::span<const uint32_t> rules) {
  const size_t count = std::min(rules.size(), kSample);
  rules_.resize(count);
  members_.resize(count);
  uint64_t zero[2] = {};
  uint64_t one[2] = {};
  for (size_t i = 0; i < count; ++i) {
    rules_[i] = all[rules[i * rules.size() / count]];
    members_[i] = static_cast<uint16_t>(i);
    for (unsigned w = 0; w < 2; ++w) {
      one[w] |= rules_[i].value[w];
      zero[w] |= rules_[i].care[w] & ~rules_[i].value[w];
    }
  }
  candidates_.clear();
  for (unsigned bit = 0; bit < kKeyBits; ++bit) {
    if (((zero[bit / 64] & one[bit / 64]) >> (bit % 64) & 1) != 0) {
      candidates_.push_back(static_cast<uint8_t>(bit));
    }
  }
  wild_.assign(count, 0);
  ends_.assign(1, static_cast<uint32_t>(count));
  settled_ = 0;
  current_cost_ = cost_of(static_cast<uint32_t>(count));
}

void BitChooser::count(std::span<const uint16_t> part, Counts& counts) const {
  counts.zero.fill(0);
  counts.one.fill(0);
  while (!part.empty()) {
    const auto some = part.first(std::min<size_t>(part.size(), 255));
    part = part.subspan(some.size());
    ByteCounters zero;
    ByteCounters one;
    for (const uint16_t member : some) {
      const Ternary& rule = rules_[member];
      one.add(rule.value[0], rule.value[1]);
      zero.add(rule.care[0] & ~rule.value[0], rule.care[1] & ~rule.value[1]);
    }
    zero.pour_into(counts.zero);
    one.pour_into(counts.one);
  }
}

void BitChooser::weigh(std::span<const uint16_t> part) {
  Counts counts;
  count(part, counts);
  const auto size = static_cast<uint32_t>(part.size());
  for (const uint8_t bit : candidates_) {
    const uint32_t zero = counts.zero[bit];
    const uint32_t one = counts.one[bit];
    cost_[bit] += cost_of(size - one) + cost_of(size - zero);
    replicas_[bit] += size - one - zero;
  }
}

// Takes the best bit; false if none is worth it.
bool BitChooser::take(const Bounds& bounds) {
  cost_.fill(0);
  replicas_.fill(0);
  uint32_t begin = 0;
  for (const uint32_t end : ends_) {
    weigh(std::span(members_).subspan(begin, end - begin));
    begin = end;
  }
  const auto best = std::min_element(candidates_.begin(), candidates_.end(),
                                     [&](uint8_t a, uint8_t b) { return cost_[a] < cost_[b]; });
  if (best == candidates_.end()) {
    return false;
  }
  const uint8_t bit = *best;
  const auto grown = static_cast<double>(settled_ + members_.size() + replicas_[bit]);
  if (static_cast<double>(cost_[bit]) > 0.95 * static_cast<double>(current_cost_) ||
      grown > bounds.growth * static_cast<double>(rules_.size()) + kBlockRules) {
    return false;
  }
  candidates_.erase(best);
  chosen_.push_back(bit);
  split(bit, bounds.wild);
  return true;
}

// Adds the rules of `part` that have the bit so, unless they are settled then.
void BitChooser::keep(std::span<const uint16_t> part, unsigned bit, bool one, unsigned wild) {
  const size_t start = next_members_.size();
  for (const uint16_t member : part) {
    const Ternary& rule = rules_[member];
    if (wild_[member] <= wild && (!rule.cares(bit) || rule.one(bit) == one)) {
      next_members_.push_back(member);
    }
  }
  const size_t size = next_members_.size() - start;
  if (size <= kBlockRules) {
    settled_ += size;
    next_members_.resize(start);
  } else {
    next_ends_.push_back(static_cast<uint32_t>(next_members_.size()));
    current_cost_ += cost_of(static_cast<uint32_t>(size));
  }
}

void BitChooser::split(unsigned bit, unsigned wild) {
  next_members_.clear();
  next_ends_.clear();
  current_cost_ = 0;
  for (size_t i = 0; i < rules_.size(); ++i) {
    wild_[i] = static_cast<uint8_t>(wild_[i] + (rules_[i].cares(bit) ? 0 : 1));
  }
  uint32_t begin = 0;
  for (const uint32_t end : ends_) {
    const auto part = std::span(members_).subspan(begin, end - begin);
    keep(part, bit, false, wild);
    keep(part, bit, true, wild);
    begin = end;
  }
  members_.swap(next_members_);
  ends_.swap(next_ends_);
}

std::span<const uint8_t> BitChooser::choose(std::span<const Ternary> all,
                                            std::span<const uint32_t> rules,
                                            const Bounds& bounds) {
  sample(all, rules);
  chosen_.clear();
  // Another bit doubles the node.  Once few rules are left in large parts, these parts had
  // better choose for themselves.
  const auto worth = [&] {
    return (size_t{1} << chosen_.size()) * rules_.size() <=
           kChildrenPerRule * members_.size() * rules.size();
  };
  while (chosen_.size() < bounds.bits && current_cost_ != 0 && (chosen_.empty() || worth()) &&
         take(bounds)) {
  }
  return chosen_;
}

}  // namespace sluice::forest
