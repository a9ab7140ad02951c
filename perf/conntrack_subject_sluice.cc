// SPDX-License-Identifier: Apache-2.0
#include "fastpath/conntrack.h"
#include "perf/conntrack_subject.h"

namespace sluice::perf {
namespace {

constexpr std::array kWays = {Way::entry};
constexpr Nanos kNow = Nanos{1000} * 1000 * 1000 * 1000;

class Sluice : public FlowTable {
 public:
  Sluice(ConnTable table, uint32_t flows) : table_(std::move(table)), flows_(flows) {
    static_assert(sizeof(Connection) == Records::bytes_of_one());
  }

  const char* name() const override { return "sluice ConnTable"; }
  std::span<const Way> ways() const override { return kWays; }

  size_t insert(const Packets& packets, Way) override {
    size_t done = 0;
    for (const Tuple& tuple : packets.tuples) {
      const ConnTable::Created made = table_.create(tuple, kNow);
      done += made.id != kNoConn && made.recycled == nullptr ? 1 : 0;
    }
    return done;
  }

  // An answer comes, so that they do not count as half open.
  void settle(const Packets& packets, Way) override {
    each(packets, [&](ConnId id, const Tuple& tuple) {
      Parsed answer;
      answer.tuple = tuple.reversed();
      answer.total_length = 100;
      table_.update(id, kReply, answer, kNow);
    });
  }

  void erase(const Packets& packets) override {
    each(packets, [&](ConnId id, const Tuple&) { table_.erase(id); });
  }

  Found find(const Packets& packets, Way) override {
    static_assert(kReply == 1 && kOriginal == 0);
    std::array<ConnId, kMaxBurst> ids;
    std::array<Side, kMaxBurst> sides;
    Found found;
    for (size_t at = 0; at < packets.size(); at += kMaxBurst) {
      const auto tuples = packets.burst(at).tuples;
      table_.find(tuples, kNow, std::span(ids).first(tuples.size()),
                  std::span(sides).first(tuples.size()));
      for (size_t i = 0; i < tuples.size(); ++i) {
        const size_t one = ids[i] != kNoConn ? 1 : 0;
        found.flows += one;
        found.replies += one & sides[i];  // without a branch on what no one can predict
      }
    }
    return found;
  }

  bool tells_directions() const override { return true; }
  // Of IPv4 flows: the addresses of others are memory that is not touched.
  uint64_t index_bytes() const override {
    return ConnTable::bytes_for(flows_) -
           uint64_t{flows_} * (sizeof(Connection) + sizeof(AddressPair));
  }
  uint64_t entry_bytes() const override { return sizeof(Connection); }

 private:
  template <typename Visit>
  void each(const Packets& packets, const Visit& visit) {
    for (const Tuple& tuple : packets.tuples) {
      ConnId id = kNoConn;
      Side side = kOriginal;
      table_.find({&tuple, 1}, kNow, {&id, 1}, {&side, 1});
      if (id != kNoConn) {
        visit(id, tuple);
      }
    }
  }

  ConnTable table_;
  uint32_t flows_;
};

}  // namespace

Result<std::unique_ptr<FlowTable>> make_conn_table(uint32_t flows) {
  ConnTable::Options options;
  options.max = flows;
  options.hash_key = {0x9ae16a3b2f90404f, 0xc3a5c85c97cb3127};
  auto table = ConnTable::make(options);
  if (!table) {
    return table.error();
  }
  return {std::make_unique<Sluice>(std::move(*table), flows)};
}

}  // namespace sluice::perf
