// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_build.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "classifier/forest_bits.h"

namespace sluice::forest {
namespace {

constexpr unsigned kSpecificBits = 10;  // an address prefix this long tells rules apart
constexpr unsigned kGroupTrees = 2;     // per group; the last keeps what is wild
constexpr unsigned kRootWild = 6;       // wild in more chosen bits: to the next tree
constexpr unsigned kLongRootWild = 5;   // in lists that no cache holds, memory is time
constexpr size_t kLongList = 200'000;
constexpr size_t kLeafRules = 8;   // not worth a node
constexpr unsigned kMaxBits = 20;  // of one node
constexpr unsigned kMaxDepth = 12;
constexpr size_t kGrowth = 8;         // copies of rules in a node's children, on average
constexpr size_t kMaxReplicas = 12;   // per rule, over the whole forest
constexpr unsigned kMaxTopBits = 18;  // of an address, for the table of trees worth a visit

using List = std::vector<uint32_t>;  // indices of rules, ascending

uint64_t hash_of(std::span<const uint32_t> list) {
  uint64_t hash = list.size();
  for (const uint32_t rule : list) {
    hash = (hash ^ rule) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

// The children of a node: their lists, one behind the other.
struct Children {
  List members;
  std::vector<uint32_t> begin;  // 2^bits + 1
  std::span<const uint32_t> list(size_t child) const {
    return std::span(members).subspan(begin[child], begin[child + 1] - begin[child]);
  }
};

class Builder {
 public:
  Builder(std::span<const FiveTupleRule> rules, size_t max_bytes)
      : rules_(rules), max_bytes_(max_bytes), trees_(std::make_unique<Trees>()) {
    ternary_.reserve(rules.size());
    for (const FiveTupleRule& rule : rules) {
      ternary_.push_back(Ternary::of(rule));
    }
    trees_->lines.resize(1);  // line 0 would be the child 0, which is nothing
  }

  std::unique_ptr<Trees> build() {
    List groups[4];
    for (uint32_t i = 0; i < rules_.size(); ++i) {
      const unsigned src = rules_[i].src_length >= kSpecificBits ? 1 : 0;
      const unsigned dst = rules_[i].dst_length >= kSpecificBits ? 2 : 0;
      groups[src | dst].push_back(i);
    }
    for (List& group : groups) {
      plant(std::move(group));
    }
    fill_tops();
    if (over_) {
      return nullptr;
    }
    trees_->lines.shrink_to_fit();
    trees_->view.roots = trees_->roots.data();
    trees_->view.lines = trees_->lines.data();
    trees_->view.top[0] = trees_->top[0].data();
    trees_->view.top[1] = trees_->top[1].data();
    return std::move(trees_);
  }

 private:
  struct Planted {
    Root root;
    List rules;
  };

  std::vector<uint8_t> choose(std::span<const uint32_t> list, const BitChooser::Bounds& bounds);
  unsigned wild_in(uint32_t rule, std::span<const uint8_t> bits) const;
  void plant(List group);
  Root grow_root(const List& kept, std::span<const uint8_t> bits);
  uint32_t grow(std::span<const uint32_t> list, unsigned depth);
  uint32_t node(std::span<const uint32_t> list, std::span<const uint8_t> bits, unsigned depth);
  uint32_t leaf(std::span<const uint32_t> list);
  bool deal(std::span<const uint32_t> list, std::span<const uint8_t> bits, Children& out);
  bool take_lines(size_t count, uint32_t* first);
  void fill_tops();

  std::span<const FiveTupleRule> rules_;
  size_t max_bytes_;
  std::unique_ptr<Trees> trees_;
  std::vector<Ternary> ternary_;
  std::vector<Planted> planted_;
  BitChooser chooser_;
  size_t replicas_ = 0;
  bool over_ = false;
};

// Lines for a node or a leaf; false (and the build is lost) if memory is used up.
bool Builder::take_lines(size_t count, uint32_t* first) {
  const size_t size = trees_->lines.size();
  if (over_ || (size + count) * sizeof(Line) > max_bytes_ || size + count >= 1u << 30) {
    over_ = true;
    return false;
  }
  *first = static_cast<uint32_t>(size);
  trees_->lines.resize(size + count);
  return true;
}

unsigned bits_for(size_t rules) {
  return std::min(kMaxBits, static_cast<unsigned>(std::bit_width(rules)) + 2);
}

unsigned Builder::wild_in(uint32_t rule, std::span<const uint8_t> bits) const {
  return static_cast<unsigned>(std::count_if(
      bits.begin(), bits.end(), [&](uint8_t bit) { return !ternary_[rule].cares(bit); }));
}

// The bits of a node over `list`.  The chooser does not see copies in parts that it holds for
// settled, so the bits it took last may have to go again.
std::vector<uint8_t> Builder::choose(std::span<const uint32_t> list,
                                     const BitChooser::Bounds& bounds) {
  const auto chosen = chooser_.choose(ternary_, list, bounds);
  std::vector<uint8_t> bits(chosen.begin(), chosen.end());
  for (;; bits.pop_back()) {
    size_t copies = 0;
    for (const uint32_t rule : list) {
      const unsigned wild = wild_in(rule, bits);
      copies += wild > bounds.wild ? 0 : size_t{1} << wild;
    }
    if (bits.empty() || copies <= kGrowth * list.size() + (size_t{1} << bits.size())) {
      return bits;
    }
  }
}

void Builder::plant(List group) {
  for (unsigned tree = 1; !group.empty(); ++tree) {
    const bool last = tree == kGroupTrees;
    const unsigned wild = group.size() > kLongList ? kLongRootWild : kRootWild;
    const BitChooser::Bounds bounds{bits_for(group.size()), last ? kKeyBits : wild,
                                    last ? 2.0 : 3.0};
    const std::vector<uint8_t> bits = choose(group, bounds);
    List kept;
    List pushed;
    for (const uint32_t rule : group) {
      (wild_in(rule, bits) > bounds.wild ? pushed : kept).push_back(rule);
    }
    planted_.push_back({grow_root(kept, bits), kept});
    group = std::move(pushed);
  }
}

Root Builder::grow_root(const List& kept, std::span<const uint8_t> bits) {
  Root root;
  root.best_priority = kept.front();
  const uint64_t line = node(kept, bits, 0) >> 2;
  root.children = line * sizeof(Line) + offsetof(Node, first_child);
  Node node;
  std::memcpy(&node, &trees_->lines[line], sizeof(node));
  root.mask[0] = node.mask[0];
  root.mask[1] = node.mask[1];
  root.shift = node.shift;
  return root;
}

// The child that holds `list`.
uint32_t Builder::grow(std::span<const uint32_t> list, unsigned depth) {
  if (list.empty()) {
    return 0;
  }
  if (list.size() <= kLeafRules || depth >= kMaxDepth ||
      replicas_ > kMaxReplicas * rules_.size()) {
    return leaf(list);
  }
  const std::vector<uint8_t> bits = choose(list, {bits_for(list.size()), kKeyBits, 4});
  return bits.empty() ? leaf(list) : node(list, bits, depth);
}

// Sorts the rules into the children; a rule that is wild in chosen bits goes to several.
bool Builder::deal(std::span<const uint32_t> list, std::span<const uint8_t> bits,
                   Children& out) {
  std::vector<uint8_t> sorted(bits.begin(), bits.end());
  std::sort(sorted.begin(), sorted.end());
  const auto each_child = [&](uint32_t rule, const auto& visit) {
    uint32_t fixed = 0;
    uint32_t wild = 0;
    for (size_t i = 0; i < sorted.size(); ++i) {
      const uint8_t bit = sorted[i];
      fixed |= (ternary_[rule].one(bit) ? 1u : 0u) << i;
      wild |= (ternary_[rule].cares(bit) ? 0u : 1u) << i;
    }
    uint32_t subset = 0;
    do {
      visit(fixed | subset);
      subset = (subset - wild) & wild;
    } while (subset != 0);
  };
  out.begin.assign((size_t{1} << bits.size()) + 1, 0);
  for (const uint32_t rule : list) {
    each_child(rule, [&](uint32_t child) { ++out.begin[child + 1]; });
  }
  size_t total = 0;
  for (uint32_t& begin : out.begin) {
    total += begin;
    begin = static_cast<uint32_t>(total);
  }
  if (total * sizeof(uint32_t) > max_bytes_ || total > UINT32_MAX) {
    over_ = true;
    return false;
  }
  out.members.resize(total);
  std::vector<uint32_t> next(out.begin.begin(), out.begin.end() - 1);
  for (const uint32_t rule : list) {
    each_child(rule, [&](uint32_t child) { out.members[next[child]++] = rule; });
  }
  return true;
}

uint32_t Builder::node(std::span<const uint32_t> list, std::span<const uint8_t> bits,
                       unsigned depth) {
  Children children;
  const size_t count = size_t{1} << bits.size();
  uint32_t line = 0;
  if (!deal(list, bits, children) ||
      !take_lines((offsetof(Node, first_child) + 4 * count + sizeof(Line) - 1) / sizeof(Line),
                  &line)) {
    return 0;
  }
  replicas_ += children.members.size() - list.size();
  Node head{};
  for (const uint8_t bit : bits) {
    head.mask[bit / 64] |= uint64_t{1} << (bit % 64);
  }
  head.shift = static_cast<uint32_t>(std::popcount(head.mask[0]));
  std::memcpy(&trees_->lines[line], &head, offsetof(Node, first_child));
  // Wild rules make equal lists; these share what is below.
  std::unordered_multimap<uint64_t, uint32_t> known;
  std::vector<uint32_t> built(count);
  for (uint32_t child = 0; child < count && !over_; ++child) {
    const auto members = children.list(child);
    if (members.empty()) {
      continue;
    }
    const uint64_t hash = hash_of(members);
    const auto [first, last] = known.equal_range(hash);
    const auto same = std::find_if(first, last, [&](const auto& entry) {
      const auto other = children.list(entry.second);
      return std::equal(members.begin(), members.end(), other.begin(), other.end());
    });
    if (same != last) {
      built[child] = built[same->second];
      continue;
    }
    known.emplace(hash, child);
    built[child] = grow(members, depth + 1);
  }
  std::memcpy(reinterpret_cast<std::byte*>(&trees_->lines[line]) + offsetof(Node, first_child),
              built.data(), 4 * count);
  return line << 2 | kNode;
}

void put_rule(Block& block, unsigned slot, const FiveTupleRule& rule, const Ternary& ternary) {
  block.value[slot] = ternary.value[0];
  block.care[slot] = ternary.care[0];
  block.low[slot] = {rule.src_port.low, rule.dst_port.low};
  block.extent[slot] = {static_cast<uint16_t>(rule.src_port.high - rule.src_port.low),
                        static_cast<uint16_t>(rule.dst_port.high - rule.dst_port.low)};
  block.protocol[slot] = rule.any_protocol ? 0 : rule.protocol;
  block.protocol_care[slot] = rule.any_protocol ? 0 : 0xff;
}

uint32_t Builder::leaf(std::span<const uint32_t> list) {
  const size_t blocks = (list.size() + kBlockRules - 1) / kBlockRules;
  uint32_t line = 0;
  if (!take_lines(blocks * 2, &line)) {
    return 0;
  }
  for (size_t b = 0; b < blocks; ++b) {
    Block block{};
    block.none = Forest::kNone;
    for (unsigned slot = 0; slot < kBlockRules; ++slot) {
      const size_t i = b * kBlockRules + slot;
      block.priority[slot] = i < list.size() ? list[i] : Forest::kNone;
      if (i < list.size()) {
        put_rule(block, slot, rules_[list[i]], ternary_[list[i]]);
      }
    }
    const size_t next = (b + 1) * kBlockRules;
    block.next_priority = next < list.size() ? list[next] : Forest::kNone;
    std::memcpy(&trees_->lines[line + 2 * b], &block, sizeof(block));
  }
  return line << 2 | kLeaf;
}

// Marks each rule's tree at the rule's prefix in a binary tree over the top bits, then hands
// the marks of inner prefixes down; the last level is the table.
void Builder::fill_tops() {
  std::sort(planted_.begin(), planted_.end(), [](const Planted& a, const Planted& b) {
    return a.root.best_priority < b.root.best_priority;
  });
  const unsigned bits =
      std::min(kMaxTopBits, static_cast<unsigned>(std::bit_width(rules_.size())) + 2);
  trees_->view.top_shift = 32 - bits;
  if (over_ || trees_->lines.size() * sizeof(Line) + (size_t{4} << bits) > max_bytes_) {
    over_ = true;
    return;
  }
  for (const Planted& planted : planted_) {
    trees_->roots.push_back(planted.root);
  }
  trees_->count = static_cast<unsigned>(planted_.size());
  trees_->roots.resize(kMaxTrees + 1);  // the rest point at line 0, which is all zero
  for (const bool dst : {false, true}) {
    std::vector<uint8_t> marks(size_t{2} << bits);
    for (uint32_t tree = 0; tree < planted_.size(); ++tree) {
      for (const uint32_t rule : planted_[tree].rules) {
        const FiveTupleRule& r = rules_[rule];
        const unsigned length = std::min<unsigned>(dst ? r.dst_length : r.src_length, bits);
        const uint32_t top = length == 0 ? 0 : (dst ? r.dst : r.src) >> (32 - length);
        marks[(size_t{1} << length) + top] |= static_cast<uint8_t>(1u << tree);
      }
    }
    for (size_t i = 2; i < marks.size(); ++i) {
      marks[i] |= marks[i / 2];
    }
    trees_->top[dst ? 1 : 0].assign(marks.begin() + (ptrdiff_t{1} << bits), marks.end());
  }
}

}  // namespace

std::unique_ptr<Trees> build_trees(std::span<const FiveTupleRule> rules, size_t max_bytes) {
  return Builder(rules, max_bytes).build();
}

}  // namespace sluice::forest
