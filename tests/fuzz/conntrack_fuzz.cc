// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any sequence of packets of a few flows through a small connection table:
// TCP with any flags, numbers and options, UDP, ICMP queries, time that passes, sweeps.
// What must hold whatever comes: the counts of the table are those of its entries, its limits
// hold, and an assured established connection that has not ended stays until its timeout.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "fastpath/conntrack.h"
#include "tests/fuzz/input.h"

namespace {

using namespace sluice;
using fuzz::check;
using fuzz::Input;

constexpr uint32_t kMax = 32;
constexpr uint32_t kFlows = 64;
constexpr EndpointId kEndpoints = 3;

Tuple flow(uint8_t n) {
  const uint8_t protocol = n % 8 == 7 ? proto::kUdp : proto::kTcp;
  return {Ip4{0x0a000001}, Ip4{0x0a000002}, static_cast<uint16_t>(1000 + n), 80, protocol, 0};
}

// A segment near the numbers that the connection has, or far from them.
Parsed packet(Input& in, const Tuple& t, const Connection* c, Side side) {
  constexpr std::array<uint8_t, 8> kFlags = {
      tcp::kSyn,
      tcp::kSyn | tcp::kAck,
      tcp::kAck,
      tcp::kAck | tcp::kPsh,
      tcp::kFin | tcp::kAck,
      tcp::kRst,
      tcp::kRst | tcp::kAck,
      tcp::kAck | tcp::kUrg,
  };
  const Side peer = side == kOriginal ? kReply : kOriginal;
  Parsed p;
  p.tuple = side == kOriginal ? t : t.reversed();
  const uint8_t kind = in.byte();
  p.tcp_flags = kFlags[kind & 7];
  const uint32_t own = c != nullptr ? c->window.end[side] : 0;
  const uint32_t others = c != nullptr ? c->window.end[peer] : 0;
  const auto near = [&in, kind](uint32_t number) {
    const auto off = static_cast<int16_t>(in.two());
    return number + ((kind & 8) != 0 ? static_cast<uint32_t>(off) << 16
                                     : static_cast<uint32_t>(off / 256));
  };
  p.tcp_seq = near(own);
  p.tcp_ack = near(others);
  p.tcp_window = in.two();
  p.payload = (kind & 16) != 0 ? static_cast<uint16_t>(in.two() % 1461) : uint16_t{0};
  p.fragment = (kind & 32) != 0;
  p.later_fragment = (kind & 96) == 96;
  p.total_length = static_cast<uint16_t>(40 + p.payload);
  p.tcp_sack = p.tcp_ack;
  if ((kind & 128) != 0) {
    std::array<uint8_t, 40> bytes;
    const size_t length = in.byte() % 11 * size_t{4};
    for (size_t i = 0; i < length; ++i) {
      bytes[i] = in.byte();
    }
    const TcpOptions options = read_tcp_options({bytes.data(), length}, p.tcp_ack);
    p.tcp_scale = options.scale;
    p.tcp_sack = options.sack;
    check(options.scale <= 14 || options.scale == kNoScale);
    check(!seq_before(options.sack, p.tcp_ack));
  }
  return p;
}

void check_counts(const ConnTable& table) {
  uint32_t live = 0;
  uint32_t unreplied = 0;
  std::array<uint32_t, kEndpoints> opened = {};
  table.for_each([&](ConnId, const Connection& c) {
    ++live;
    unreplied += c.replied == 0 ? 1 : 0;
    ++opened[c.source()];
    check(c.marks.scale(kOriginal) <= 14 && c.marks.scale(kReply) <= 14);
  });
  check(live == table.size() && live <= kMax);
  check(unreplied == table.embryonic() && unreplied <= kMax / 2);
  for (EndpointId id = 0; id < kEndpoints; ++id) {
    check(opened[id] == table.opened_by(id) && opened[id] <= kMax / 2);
  }
}

// The connections that nothing may take away now, but their own packets.
uint64_t kept(const ConnTable& table, Nanos now) {
  uint64_t set = 0;
  table.for_each([&](ConnId, const Connection& c) {
    // Shrunk to five minutes at worst: those that sent less than that ago.
    const Nanos longest = 432000 * kSecond;
    const Nanos last = c.deadline > longest ? c.deadline - longest : 0;
    const bool full_life = last + 300 * kSecond > now && c.deadline > now + 300 * kSecond;
    if (c.assured != 0 && c.tcp == TcpState::established && full_life) {
      set |= uint64_t{1} << (std::max(c.tuple.src_port, c.tuple.dst_port) - 1000u);
    }
  });
  return set;
}

// One packet as the pipeline treats it; returns the flow's number.
uint8_t pass(Input& in, ConnTable& table, Nanos now) {
  const auto n = static_cast<uint8_t>(in.byte() % kFlows);
  const Tuple t = flow(n);
  ConnId id = kNoConn;
  Side found{};
  table.find({&t, 1}, now, {&id, 1}, {&found, 1});
  const uint8_t what = in.byte();
  const Side side = (what & 1) != 0 && id != kNoConn ? kReply : kOriginal;
  const Parsed p = packet(in, t, id == kNoConn ? nullptr : &table.at(id), side);
  if (id != kNoConn && ConnTable::reopens(table.at(id), side, p)) {
    table.erase(id);
    id = kNoConn;
  }
  if (id == kNoConn) {
    if (ConnTable::may_open(p, (what & 2) != 0) != DropReason::none) {
      return n;
    }
    id = table.create(p.tuple, now, n % kEndpoints, kNoEndpoint).id;
    if (id != kNoConn && table.update(id, kOriginal, p, now) != DropReason::none) {
      table.erase(id);
    }
    return n;
  }
  table.update(id, side, p, now, (what & 4) != 0);
  if (table.at(id).deadline <= now) {
    table.erase(id);
  } else if ((what & 0xf8) == 0xf8) {
    table.cut(id, now);
  }
  return n;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in{data, data + size};
  auto made = ConnTable::make(
      {kMax,
       in.byte() % 2 == 0 ? Timeouts::linux_preset() : Timeouts::calico_bpf_preset(),
       {1, 2}});
  ConnTable table = std::move(*made);
  const bool linux_timeouts = size > 0 && data[0] % 2 == 0;
  Nanos now = 1000 * kSecond;
  while (in.at < in.end) {
    const uint8_t action = in.byte();
    if (action >= 240) {
      now += (action - 239u) * kSecond;
    }
    const uint64_t before = linux_timeouts ? kept(table, now) : 0;
    uint64_t own = 0;
    if (action < 200) {
      own = uint64_t{1} << pass(in, table, now);
    } else {
      table.expire(now, action % 40u, {});
    }
    for (uint64_t left = before & ~own; left != 0; left &= left - 1) {
      const Tuple t = flow(static_cast<uint8_t>(__builtin_ctzll(left)));
      ConnId id = kNoConn;
      Side side{};
      table.find({&t, 1}, now, {&id, 1}, {&side, 1});
      check(id != kNoConn);
    }
    check_counts(table);
  }
  return 0;
}
