// SPDX-License-Identifier: Apache-2.0
// What the tests of the connection table share: tuples, packets, flows that open and close.
#ifndef SLUICE_TESTS_FASTPATH_FLOWS_H_
#define SLUICE_TESTS_FASTPATH_FLOWS_H_

#include <gtest/gtest.h>

#include "fastpath/conntrack.h"

namespace sluice::test {

using namespace tcp;

inline constexpr Nanos kStart = Nanos{60000}
                                << kTickShift;  // a whole tick, as entries count time

inline Tuple tuple(uint8_t protocol, uint16_t src_port = 40000, uint16_t dst_port = 80,
                   uint32_t src = 0x0a000001, uint32_t dst = 0x0a000002) {
  return {Ip4{src}, Ip4{dst}, src_port, dst_port, protocol};
}
// A ping of the first address; `icmp_class` 2: a timestamp request, negative: the answer.
inline Tuple echo(uint16_t id, int8_t icmp_class = 1) {
  Tuple t = tuple(proto::kIcmp, id, id);
  t.icmp_class = icmp_class;
  return t;
}
inline Tuple nth(uint32_t n, uint8_t protocol = proto::kUdp) {
  return tuple(protocol, static_cast<uint16_t>(1024 + n % 50000), 53, 0x0a000000 + n / 50000,
               0xc0a80001);
}

inline Parsed packet(const Tuple& t, int flags = 0) {
  Parsed p;
  p.tuple = t;
  p.tcp_flags = static_cast<uint8_t>(flags);
  p.total_length = 100;
  p.tcp_window = 5000;
  return p;
}
inline Parsed icmp(const Tuple& t, uint8_t type) {
  Parsed p = packet(t);
  p.icmp_type = type;
  return p;
}

struct Found {
  ConnId id;
  Side side;
};
inline Found find(ConnTable& table, const Tuple& t, Nanos now) {
  Found out{};
  table.find({&t, 1}, now, {&out.id, 1}, {&out.side, 1});
  return out;
}

inline ConnTable::Options options(uint32_t max, Timeouts timeouts = Timeouts::linux_preset()) {
  return {max, timeouts, {0x0123456789abcdefu, 0xfedcba9876543210u}};
}

inline ConnTable make(const ConnTable::Options& o) {
  return std::move(*ConnTable::make(o));
}

// A connection under test and the packets of its two sides.
struct Flow {
  ConnTable& table;
  Tuple t;
  Nanos now = kStart;
  ConnId id = table.create(t, now).id;
  // The next segment of a side, as its kernel numbers it: what it has got is acknowledged.
  DropReason send(int flags) { return next(kOriginal, flags); }
  DropReason reply(int flags) { return next(kReply, flags); }
  // A segment with numbers of the test's own.
  DropReason send(int flags, uint32_t seq, uint32_t ack = 0) {
    return go(t, kOriginal, flags, seq, ack);
  }
  DropReason reply(int flags, uint32_t seq, uint32_t ack = 0) {
    return go(t.reversed(), kReply, flags, seq, ack);
  }
  Connection& c() { return table.at(id); }
  uint32_t at[2] = {0xfffffff0, 7000};  // the next number of each side; the first wraps

 private:
  DropReason next(Side side, int flags) {
    const bool takes_one = (flags & (kSyn | kFin)) != 0;
    const uint32_t seq = at[side];
    const uint32_t ack = (flags & kAck) != 0 ? at[1 - side] : 0;
    at[side] += takes_one ? 1 : 0;
    return side == kOriginal ? send(flags, seq, ack) : reply(flags, seq, ack);
  }
  DropReason go(const Tuple& from, Side side, int flags, uint32_t seq, uint32_t ack) {
    Parsed p = packet(from, flags);
    p.tcp_seq = seq;
    p.tcp_ack = ack;
    p.tcp_sack = ack;
    return table.update(id, side, p, now);
  }
};

inline void establish(Flow& f) {
  ASSERT_EQ(f.send(kSyn), DropReason::none);
  ASSERT_EQ(f.reply(kSyn | kAck), DropReason::none);
  ASSERT_EQ(f.send(kAck), DropReason::none);
  ASSERT_EQ(f.c().tcp, TcpState::established);
}

// Opens flows until `count` are in the table and answers each.
inline void fill_replied(ConnTable& table, uint32_t count, uint32_t first = 0) {
  for (uint32_t n = first; table.size() < count; ++n) {
    const ConnTable::Created made = table.create(nth(n, proto::kUdp), kStart);
    ASSERT_NE(made.id, kNoConn);
    table.update(made.id, kReply, packet(nth(n, proto::kUdp).reversed()), kStart);
  }
}

}  // namespace sluice::test

#endif  // SLUICE_TESTS_FASTPATH_FLOWS_H_
