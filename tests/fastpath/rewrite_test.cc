// SPDX-License-Identifier: Apache-2.0
#include "fastpath/rewrite.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fastpath/parse.h"
#include "tests/fastpath/ends.h"
#include "tests/support/packet_builder.h"

namespace sluice {
namespace {

using test::Buffer;
using test::Bytes;
using test::Frame;
using test::kA;
using test::kB;
using test::kNode;
using test::kOwnMac;
using test::kPeerMac;

Parsed parsed(rte_mbuf* frame) {
  Parsed p;
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  EXPECT_EQ(name(parse_ip4(frame, kEtherBytes, available, {true, false}, p)), "none");
  EXPECT_EQ(name(parse_l4(frame, p)), "none");
  return p;
}

TEST(Checksum, EqualsThePlainSumAtAnyLengthAndStart) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Bytes bytes(2100);
  for (uint8_t& b : bytes) {
    b = static_cast<uint8_t>(random() % 3 == 0 ? 0xff : random());
  }
  for (size_t length = 0; length < 2000; ++length) {
    const size_t start = random() % 100;
    const Bytes part = test::slice(bytes, start, length);
    const auto expected = static_cast<uint16_t>(~test::plain_sum(part));
    ASSERT_EQ(checksum_fold(checksum_add(part, 0)).host(), expected) << length;
    // In two steps, the first of an even length.
    const size_t half = length / 4 * 2;
    const uint64_t first = checksum_add(test::slice(part, 0, half), 0);
    ASSERT_EQ(checksum_fold(checksum_add(test::slice(part, half), first)).host(), expected);
  }
}

TEST(DecrementTtl, KeepsTheChecksumRightForEveryHeader) {
  for (unsigned ttl = 2; ttl < 256; ++ttl) {
    for (unsigned id = 0; id < 65536; id += 97) {
      const auto made = [&](unsigned value) {
        return Frame()
            .ip4(kA, kB)
            .ttl(static_cast<uint8_t>(value))
            .id(static_cast<uint16_t>(id))
            .build();
      };
      const Buffer frame(made(ttl));
      Parsed p;
      p.l3_offset = kEtherBytes;
      decrement_ttl(frame, p);
      ASSERT_EQ(frame.bytes(), made(ttl - 1)) << ttl << " " << id;
    }
  }
}

// Also where the incremental sum carries: all checksums that a header can have.
TEST(DecrementTtl, KeepsEveryChecksumRight) {
  Bytes header = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 0, 6, 0, 0, 10, 244, 1, 2, 10, 244, 1, 3};
  const auto put_checksum = [&] {
    header[10] = header[11] = 0;
    const auto sum = static_cast<uint16_t>(~test::plain_sum(header));
    header[10] = static_cast<uint8_t>(sum >> 8);
    header[11] = static_cast<uint8_t>(sum);
    return sum;
  };
  std::vector<bool> met(65536);
  for (const uint8_t ttl : std::initializer_list<uint8_t>{2, 3, 64, 128, 255}) {
    for (unsigned id = 0; id < 65536; ++id) {
      header[4] = static_cast<uint8_t>(id >> 8);
      header[5] = static_cast<uint8_t>(id);
      header[8] = ttl;
      met[put_checksum()] = true;
      Bytes moved = header;
      decrement_ttl(moved.data());
      header[8] = static_cast<uint8_t>(ttl - 1);
      put_checksum();
      ASSERT_EQ(moved, header) << "TTL " << int{ttl} << ", ID " << id;
    }
  }
  EXPECT_EQ(std::count(met.begin(), met.end(), true), 65535) << "all but that of no header";
}

TEST(WriteEther, ReplacesTheHeaderOnly) {
  const Buffer frame(Frame().ip4(kA, kB).udp(1, 2));
  write_ether(frame, kOwnMac, kPeerMac, kTypeIp4);
  EXPECT_EQ(frame.bytes(), Frame().ether(kPeerMac, kOwnMac).ip4(kA, kB).udp(1, 2).build());
}

TEST(MakeArp, IsReadAsItWasWritten) {
  const ArpPacket reply{2, kPeerMac, test::ip(kA), kOwnMac, test::ip(kB)};
  const Buffer frame;
  make_arp(frame, reply, kOwnMac);
  EXPECT_EQ(parse_l2(frame, {kOwnMac, 1500, false}).kind, L2Kind::arp);
  ArpPacket read;
  ASSERT_EQ(name(parse_arp(frame, read)), "none");
  EXPECT_EQ(read.operation, 2);
  EXPECT_EQ(read.sender_mac, kPeerMac);
  EXPECT_EQ(read.sender, test::ip(kA));
  EXPECT_EQ(read.target_mac, kOwnMac);
  EXPECT_EQ(read.target, test::ip(kB));
}

TEST(MakeIcmpError, QuotesThePacketUpTo576Bytes) {
  for (const size_t payload : {0u, 1u, 7u, 519u, 520u, 521u, 1400u}) {
    const Bytes offender = Frame().ip4(kA, kB).tos(4).df().udp(1000, 53).payload(payload);
    const Buffer frame(offender);
    const Parsed p = parsed(frame);
    const Buffer error;
    make_icmp_error(error, frame, p, test::ip(kNode), {3, 4, 1480}, 0x77);
    const Bytes quote = test::slice(offender, kEtherBytes, 548);
    const Bytes expected = Frame().ip4(kNode, kA).id(0x77).icmp(3, 4, 0, 1480).raw(quote);
    EXPECT_EQ(test::slice(error.bytes(), kEtherBytes), test::slice(expected, kEtherBytes))
        << payload;
    // And it is one that we would take ourselves.
    const Parsed back = parsed(error);
    EXPECT_TRUE(back.icmp_error);
    EXPECT_EQ(back.quoted, p.tuple);
    EXPECT_TRUE(l4_checksum_ok(error, back));
  }
}

TEST(MakeIcmpError, TellsAnMtuOnlyInFragmentationNeeded) {
  const Buffer frame(Frame().ip4(kA, kB).udp(1000, 53));
  const Buffer error;
  make_icmp_error(error, frame, parsed(frame), test::ip(kNode), {11, 0, 1480}, 1);
  EXPECT_EQ(test::slice(error.bytes(), 38, 4), Bytes(4));
  EXPECT_TRUE(l4_checksum_ok(error, parsed(error)));
}

TEST(MayAnswerWithIcmp, NeverAboutErrorsLaterFragmentsOrGroups) {
  const auto allowed = [](const Bytes& bytes) {
    const Buffer frame(bytes);
    return may_answer_with_icmp(parsed(frame));
  };
  EXPECT_TRUE(allowed(Frame().ip4(kA, kB).udp(1, 2)));
  EXPECT_TRUE(allowed(Frame().ip4(kA, kB).echo(1)));
  EXPECT_TRUE(allowed(Frame().ip4(kA, kB).fragment(0, true).udp(1, 2).payload(8)));
  EXPECT_FALSE(allowed(Frame().ip4(kA, kB).fragment(2, false).protocol(17).payload(8)));
  EXPECT_FALSE(allowed(Frame().ip4(kB, kA).icmp(3, 1, 0, 0).ip4(kA, kB).udp(1, 2)));
  Parsed group;
  group.tuple = {test::ip(kA), test::ip("224.0.0.1"), 0, 0, proto::kUdp};
  EXPECT_FALSE(may_answer_with_icmp(group));
  EXPECT_FALSE(may_answer_with_icmp(Parsed{}));
}

}  // namespace
}  // namespace sluice
