// SPDX-License-Identifier: Apache-2.0
// Reliability 4 written down plainly, of maps and lists that grow: the naive twin of Fragments,
// for its random test and its fuzz target.  Frames are numbers here.  Hash sharing aside the
// two must agree on every answer, and on which frames go when and why.
#ifndef SLUICE_TESTS_SUPPORT_FRAGMENT_TWIN_H_
#define SLUICE_TESTS_SUPPORT_FRAGMENT_TWIN_H_

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "fastpath/fragments.h"

namespace sluice::test {

class FragmentTwin {
 public:
  using Frame = uintptr_t;
  using Key = std::tuple<uint32_t, uint32_t, int, uint32_t, PortId, uint64_t, uint64_t>;

  explicit FragmentTwin(uint32_t max_held) : max_held_(max_held) {}

  static Key key_of(const Parsed& p, PortId port) {
    const int protocol = p.tuple.six ? -1 : p.tuple.protocol;  // IPv6's is not of the key
    return {p.tuple.src.value, p.tuple.dst.value, protocol, p.id, port,
            p.pair.src.lo,     p.pair.dst.lo};
  }

  // What becomes of a piece: nothing for one that waits.
  std::optional<DropReason> add(const Parsed& p, PortId port, Frame frame, Nanos now) {
    give_up(now);
    const Key key = key_of(p, port);
    if (records_.count(key) != 0 && now - records_[key].seen >= Fragments::kIdle) {
      forget(key, DropReason::frag_no_head);
    }
    const bool is_new = records_.count(key) == 0;
    if (is_new && p.later_fragment && waiting_.size() >= max_held_) {
      return DropReason::frag_no_head;
    }
    if (is_new && !make_room(std::get<0>(key))) {
      return DropReason::frag_table_full;
    }
    Record& r = records_[key];
    r.seen = now;
    age_.remove(key);
    age_.push_back(key);
    const uint32_t begin = p.fragment_offset;
    const uint32_t end = begin + p.piece_bytes;
    const DropReason reason = check(r, begin, end, p.more_fragments);
    if (reason == DropReason::frag_overlap) {
      r.poisoned = true;
      lose(key, reason);
    }
    if (reason != DropReason::none) {
      return reason;
    }
    const bool waits = p.later_fragment && !r.has_first;
    if (waits && (waiting_of(key) == Fragments::kHeldPerKey || waiting_.size() >= max_held_)) {
      return DropReason::frag_no_head;
    }
    r.pieces[begin] = end;
    if (!p.more_fragments) {
      r.end = end;
    }
    if (waits) {
      waiting_.push_back({key, frame, now});
      return std::nullopt;
    }
    if (!p.later_fragment) {
      r.has_first = true;
      return DropReason::none;
    }
    const DropReason said = r.reason;
    if (whole(r)) {
      forget(key, DropReason::none);
    }
    return said;
  }

  void refuse(const Parsed& p, PortId port, DropReason reason) {
    const auto it = records_.find(key_of(p, port));
    if (it != records_.end()) {
      it->second.reason = reason;
    }
  }

  // Those that waited for this first piece.
  std::vector<Frame> release(const Parsed& p, PortId port) {
    const Key key = key_of(p, port);
    std::vector<Frame> out;
    for (const Waiting& w : waiting_) {
      if (w.key == key) {
        out.push_back(w.frame);
      }
    }
    waiting_.remove_if([&key](const Waiting& w) { return w.key == key; });
    if (records_.count(key) != 0 && whole(records_[key])) {
      forget(key, DropReason::none);
    }
    return out;
  }

  void expire(Nanos now) {
    give_up(now);
    for (unsigned i = 0; i < 64 && !age_.empty(); ++i) {
      if (now - records_[age_.front()].seen < Fragments::kIdle) {
        return;
      }
      forget(age_.front(), DropReason::frag_no_head);
    }
  }

  std::vector<std::pair<Frame, DropReason>> take_lost() { return std::exchange(lost_, {}); }
  size_t size() const { return records_.size(); }
  size_t held() const { return waiting_.size(); }

 private:
  struct Record {
    std::map<uint32_t, uint32_t> pieces;  // begin to end
    uint32_t end = 0;
    bool has_first = false;
    bool poisoned = false;
    DropReason reason = DropReason::none;
    Nanos seen = 0;
  };
  struct Waiting {
    Key key;
    Frame frame;
    Nanos since;
  };

  static bool whole(const Record& r) {
    uint32_t bytes = 0;
    for (const auto& [begin, end] : r.pieces) {
      bytes += end - begin;
    }
    return r.end != 0 && bytes == r.end;
  }

  static DropReason check(const Record& r, uint32_t begin, uint32_t end, bool more) {
    if (r.poisoned) {
      return DropReason::frag_overlap;
    }
    uint32_t highest = 0;
    for (const auto& [b, e] : r.pieces) {
      if (b == begin && e == end) {
        return DropReason::frag_duplicate;
      }
      if (b < end && begin < e) {
        return DropReason::frag_overlap;
      }
      highest = e > highest ? e : highest;
    }
    if ((r.end != 0 && end > r.end) || (!more && end < highest)) {
      return DropReason::frag_len;
    }
    return r.pieces.size() == Fragments::kPieces ? DropReason::frag_too_many : DropReason::none;
  }

  bool make_room(uint32_t source) {
    size_t mine = 0;
    for (const auto& [key, r] : records_) {
      mine += std::get<0>(key) == source ? 1 : 0;
    }
    if (mine >= Fragments::kPerSource) {
      return false;
    }
    if (records_.size() == Fragments::kRecords) {
      forget(age_.front(), DropReason::frag_table_full);
    }
    return true;
  }

  size_t waiting_of(const Key& key) const {
    size_t n = 0;
    for (const Waiting& w : waiting_) {
      n += w.key == key ? 1 : 0;
    }
    return n;
  }

  void lose(const Key& key, DropReason reason) {
    for (const Waiting& w : waiting_) {
      if (w.key == key) {
        lost_.emplace_back(w.frame, reason);
      }
    }
    waiting_.remove_if([&key](const Waiting& w) { return w.key == key; });
  }

  void forget(const Key& key, DropReason held) {
    const Key gone = key;
    lose(gone, held);
    records_.erase(gone);
    age_.remove(gone);
  }

  void give_up(Nanos now) {
    while (!waiting_.empty() && now - waiting_.front().since > Fragments::kHoldFor) {
      const Waiting w = waiting_.front();
      waiting_.pop_front();
      lost_.emplace_back(w.frame, DropReason::frag_no_head);
      if (waiting_of(w.key) == 0) {
        forget(w.key, DropReason::none);
      }
    }
  }

  uint32_t max_held_;
  std::map<Key, Record> records_;
  std::list<Key> age_;  // by the last piece, oldest first
  std::list<Waiting> waiting_;
  std::vector<std::pair<Frame, DropReason>> lost_;
};

// A piece as the parser leaves it.
inline Parsed fragment(Ip4 src, Ip4 dst, uint8_t protocol, uint16_t id, uint32_t offset,
                       uint32_t bytes, bool more) {
  Parsed p;
  p.tuple = {src, dst, 0, 0, protocol};
  p.id = id;
  p.l3_offset = kEtherBytes;
  p.l4_offset = kEtherBytes + kIp4Bytes;
  p.total_length = static_cast<uint16_t>(kIp4Bytes + bytes);
  p.piece_bytes = static_cast<uint16_t>(bytes);
  p.fragment = true;
  p.later_fragment = offset != 0;
  p.more_fragments = more;
  p.fragment_offset = static_cast<uint16_t>(offset);
  return p;
}

// The same to both; false as soon as they differ.
class FragmentPair {
 public:
  explicit FragmentPair(uint32_t max_held, std::array<uint64_t, 2> hash_key = {1, 2})
      : fast_({max_held, hash_key}), twin_(max_held) {}

  // A first piece is refused for `refuse` unless that is none, and then frees those that wait.
  bool add(Parsed p, PortId port, Nanos now, DropReason refuse = DropReason::none) {
    const FragmentTwin::Frame frame = ++frames_;
    const bool first = !p.later_fragment;
    const Parsed sent = p;
    const Fragments::Answer answer =
        fast_.add(p, port, reinterpret_cast<rte_mbuf*>(frame), now);
    const std::optional<DropReason> twin = twin_.add(sent, port, frame, now);
    last_ = answer;
    bool same = answer.held == !twin.has_value() && (answer.held || answer.reason == *twin) &&
                same_lost();
    if (first && answer.reason == DropReason::none) {
      if (refuse != DropReason::none) {
        fast_.refuse(sent, port, refuse);
        twin_.refuse(sent, port, refuse);
      }
      std::vector<FragmentTwin::Frame> freed;
      released_.clear();
      while (rte_mbuf* next = fast_.release(sent, port)) {
        Parsed later = sent;
        released_.push_back(fast_.inherit(later, port));
        same = same && released_.back() == refuse;
        freed.push_back(reinterpret_cast<FragmentTwin::Frame>(next));
      }
      same = same && freed == twin_.release(sent, port);
    }
    return same && same_sizes();
  }
  bool expire(Nanos now) {
    fast_.expire(now);
    twin_.expire(now);
    return same_lost() && same_sizes();
  }
  // Of the last piece.
  const Fragments::Answer& last() const { return last_; }
  const std::vector<DropReason>& released() const { return released_; }
  const std::vector<std::pair<FragmentTwin::Frame, DropReason>>& lost() const { return gone_; }
  Fragments& fast() { return fast_; }

 private:
  bool same_lost() {
    gone_.clear();
    for (Fragments::Lost l = fast_.take_lost(); l.frame != nullptr; l = fast_.take_lost()) {
      gone_.emplace_back(reinterpret_cast<FragmentTwin::Frame>(l.frame), l.reason);
    }
    return gone_ == twin_.take_lost();
  }
  bool same_sizes() const {
    return fast_.size() == twin_.size() && fast_.held() == twin_.held();
  }

  Fragments fast_;
  FragmentTwin twin_;
  FragmentTwin::Frame frames_ = 0;
  Fragments::Answer last_;
  std::vector<DropReason> released_;
  std::vector<std::pair<FragmentTwin::Frame, DropReason>> gone_;
};

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_FRAGMENT_TWIN_H_
