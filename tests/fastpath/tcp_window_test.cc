// SPDX-License-Identifier: Apache-2.0
#include "fastpath/tcp_window.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fastpath/conntrack.h"

namespace sluice {
namespace {

using namespace tcp;

constexpr Nanos kStart = Nanos{60000} << kTickShift;

// ---- options -------------------------------------------------------------------------------

TEST(TcpWindow, ReadsScaleAndSackOfItsOptionsAndNothingPastThem) {
  struct Row {
    const char* sentence;
    std::vector<uint8_t> options;
    uint8_t scale;
    uint32_t sack;  // with 1000 acknowledged
  };
  const Row rows[] = {
      {"none", {}, kNoScale, 1000},
      {"scale among others", {2, 4, 5, 180, 4, 2, 1, 3, 3, 7}, 7, 1000},
      {"a scale above 14 is 14", {3, 3, 200, 0}, 14, 1000},
      {"what follows the end is not read", {0, 3, 3, 7}, kNoScale, 1000},
      {"a scale of the wrong length", {3, 4, 7, 0}, kNoScale, 1000},
      {"a length of zero", {8, 0, 3, 3, 7}, kNoScale, 1000},
      {"a length of one", {8, 1, 3, 3, 7}, kNoScale, 1000},
      {"a kind without its length", {1, 1, 1, 3}, kNoScale, 1000},
      {"a length past the header", {3, 3, 7, 8, 200, 0}, 7, 1000},
      {"one block", {1, 1, 5, 10, 0, 0, 4, 0, 0, 0, 8, 0}, kNoScale, 0x800},
      {"the highest of two",
       {5, 18, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 8, 0},
       kNoScale,
       0x900},
      {"a block below the acknowledgement", {5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, kNoScale, 1000},
      {"half a block", {5, 8, 0, 0, 4, 0, 0, 0}, kNoScale, 1000},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.sentence);
    const TcpOptions read = read_tcp_options(row.options, 1000);
    EXPECT_EQ(read.scale, row.scale);
    EXPECT_EQ(read.sack, row.sack);
  }
  // Across the wrap of sequence numbers 16 is above.
  const uint8_t wrapped[] = {5, 10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 16};
  EXPECT_EQ(read_tcp_options(wrapped, 0xfffffff0).sack, 16u);
  // Half the circle ahead is neither before nor after; and two steps do not go round it.
  const std::vector<uint8_t> opposite = {5, 10, 0, 0, 0, 0, 0x80, 0, 0, 0};
  EXPECT_EQ(read_tcp_options(opposite, 0).sack, 0u);
  const std::vector<uint8_t> round = {5,    18,   0, 0, 0, 0,    0x7f, 0xff, 0xff,
                                      0xff, 0x7f, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0};
  EXPECT_EQ(read_tcp_options(round, 0).sack, 0x7fffffffu);
}

// ---- a connection whose numbers the test gives ------------------------------------------

// The initiator's numbers count from `iss`, the responder's from `irs`: 0 is the SYN.
struct Scene {
  explicit Scene(uint32_t iss_ = 0xfffffe00, uint32_t irs_ = 0x7fffff00)
      : table(std::move(*ConnTable::make({64, Timeouts::linux_preset(), {1, 2}}))),
        iss(iss_),
        irs(irs_) {
    t = {Ip4{0x0a000001}, Ip4{0x0a000002}, 40000, 80, proto::kTcp, 0};
    id = table.create(t, now).id;
  }
  struct Segment {
    Side side;
    int flags;
    uint32_t seq, ack;  // relative
    uint16_t length = 0;
    uint32_t sack = 0;
    uint16_t window = 1000;
    uint8_t scale = kNoScale;
  };
  DropReason pass(const Segment& s) {
    Parsed p;
    const bool original = s.side == kOriginal;
    p.tuple = original ? t : t.reversed();
    p.tcp_flags = static_cast<uint8_t>(s.flags);
    p.tcp_seq = s.seq + (original ? iss : irs);
    p.tcp_ack = (s.flags & kAck) != 0 ? s.ack + (original ? irs : iss) : 0;
    p.tcp_sack = s.sack != 0 ? s.sack + (original ? irs : iss) : p.tcp_ack;
    p.tcp_window = s.window;
    p.tcp_scale = s.scale;
    p.payload = s.length;
    p.total_length = static_cast<uint16_t>(40 + s.length);
    return table.update(id, s.side, p, now, liberal);
  }
  // Windows of 1000 each, or 1000 << scale; both sides at 1.
  void open(uint8_t a = kNoScale, uint8_t b = kNoScale) {
    ASSERT_EQ(pass({kOriginal, kSyn, 0, 0, 0, 0, 1000, a}), DropReason::none);
    ASSERT_EQ(pass({kReply, kSyn | kAck, 0, 1, 0, 0, 1000, b}), DropReason::none);
    ASSERT_EQ(pass({kOriginal, kAck, 1, 1}), DropReason::none);
    ASSERT_EQ(c().tcp, TcpState::established);
  }
  Connection& c() { return table.at(id); }
  uint64_t seconds_left() { return (c().deadline - now) / kSecond; }

  ConnTable table;
  Tuple t;
  uint32_t iss, irs;
  bool liberal = false;
  Nanos now = kStart;
  ConnId id;
};

enum class Effect : uint8_t { moves, stale, window };

TEST(TcpWindow, TheFourConditionsHoldToTheByte) {
  struct Row {
    const char* sentence;
    Scene::Segment segment;
    Effect effect;
  };
  // The initiator has sent up to 501 and may send up to 1501 (500 acknowledged, window 1000);
  // the responder has sent up to 301, of which 201 are acknowledged, and may send up to 1201.
  const Row rows[] = {
      {"(I) begins at the allowed end", {kOriginal, kAck, 1501, 301, 0}, Effect::moves},
      {"(I) one byte past it, by less than the peer's window",
       {kOriginal, kAck, 1502, 301, 998},
       Effect::moves},
      {"(I) past it by the peer's window", {kOriginal, kAck, 1502, 301, 999}, Effect::window},
      {"(I) one byte past it, and an old acknowledgement",
       {kOriginal, kAck, 1502, 301u - 66001},
       Effect::window},
      {"(I) far past it", {kOriginal, kAck, 50000, 301, 1}, Effect::window},
      {"(I) half the circle away", {kOriginal, kAck, 0x7fffffff, 301, 1}, Effect::window},
      {"(II) ends where the peer's largest window begins",
       {kOriginal, kAck, 0xfffffe0b, 301, 2},
       Effect::moves},
      {"(II) one byte below", {kOriginal, kAck, 0xfffffe0b, 301, 1}, Effect::stale},
      {"(III) acknowledges all that was sent", {kOriginal, kAck, 501, 301}, Effect::moves},
      {"(III) and one byte more", {kOriginal, kAck, 501, 302}, Effect::window},
      {"(III) SACK says that it has more than was sent",
       {kOriginal, kAck, 501, 201, 0, 302},
       Effect::window},
      {"(III) SACK up to what was sent", {kOriginal, kAck, 501, 201, 0, 301}, Effect::moves},
      {"(IV) the oldest acknowledgement", {kOriginal, kAck, 501, 301u - 66000}, Effect::moves},
      {"(IV) one byte older", {kOriginal, kAck, 501, 301u - 66001}, Effect::stale},
      {"(I) comes before (IV)", {kOriginal, kAck, 50000, 301u - 70000}, Effect::window},
      {"the responder, (I) at its end", {kReply, kAck, 1201, 501}, Effect::moves},
      {"the responder, (I) past its end", {kReply, kAck, 2202, 501}, Effect::window},
      {"the responder, (III)", {kReply, kAck, 301, 502}, Effect::window},
      {"data from far below", {kReply, kAck, 301u - 5000, 501, 100}, Effect::stale},
      {"a keep-alive probe", {kOriginal, kAck, 500, 301}, Effect::moves},
  };
  for (const uint32_t wraps : {0u, 0xfffffe00u}) {
    for (const Row& row : rows) {
      SCOPED_TRACE(std::string(row.sentence) + " from " + std::to_string(wraps));
      Scene s(wraps, wraps + 0x80000000u);
      s.open();
      s.pass({kOriginal, kAck, 1, 1, 500});
      s.pass({kReply, kAck, 1, 501, 200});
      s.pass({kOriginal, kAck, 501, 201});
      s.pass({kReply, kAck, 201, 501, 100});
      const Connection before = s.c();
      s.now += 5 * kSecond;
      const DropReason reason = s.pass(row.segment);
      EXPECT_EQ(reason,
                row.effect == Effect::window ? DropReason::ct_window : DropReason::none);
      if (row.effect == Effect::moves) {
        EXPECT_GT(s.c().deadline, s.now + 200 * kSecond);
        continue;
      }
      EXPECT_EQ(s.c().deadline, before.deadline);
      EXPECT_EQ(s.c().window.end, before.window.end);
      EXPECT_EQ(s.c().window.allowed, before.window.allowed);
      EXPECT_EQ(s.c().window.acked, before.window.acked);
      EXPECT_EQ(s.c().window.largest, before.window.largest);
      const Side side = row.segment.side;
      EXPECT_EQ(s.c().packets(side),
                before.packets(side) + (row.effect == Effect::stale ? 1u : 0u));
    }
  }
}

TEST(TcpWindow, ScaleCountsOnlyIfBothSynsHaveIt) {
  struct Row {
    uint8_t initiator, responder;
    uint32_t may_send;  // the initiator, by a window of 1000
  };
  const Row rows[] = {{kNoScale, kNoScale, 1000},
                      {7, kNoScale, 1000},
                      {kNoScale, 7, 1000},
                      {0, 3, 8000},
                      {7, 0, 1000},
                      {14, 14, 16384000}};
  for (const Row& row : rows) {
    SCOPED_TRACE(std::to_string(row.initiator) + " " + std::to_string(row.responder));
    Scene s;
    s.open(row.initiator, row.responder);
    // The SYN+ACK's own window is never scaled.
    EXPECT_EQ(s.c().window.allowed[kOriginal] - s.iss, 1001u);
    s.pass({kReply, kAck, 1, 1, 0, 0, 1000});
    EXPECT_EQ(s.c().window.allowed[kOriginal] - s.iss, 1 + row.may_send);
  }
}

TEST(TcpWindow, SelectiveAcknowledgementOpensTheWindowFurther) {
  Scene s;
  s.open();
  s.pass({kOriginal, kAck, 1, 1, 900});
  s.pass({kReply, kAck, 1, 1, 0, 901});
  EXPECT_EQ(s.c().window.allowed[kOriginal] - s.iss, 1901u);
  EXPECT_EQ(s.c().window.acked[kOriginal] - s.iss, 1u);  // what RSTs go by
}

TEST(TcpWindow, AClosedWindowLetsAProbeThrough) {
  Scene s;
  s.open();
  s.pass({kOriginal, kAck, 1, 1, 1000});
  s.pass({kReply, kAck, 1, 1001, 0, 0, 0});
  EXPECT_EQ(s.pass({kOriginal, kAck, 1001, 1, 1}), DropReason::none);
  EXPECT_EQ(s.pass({kReply, kAck, 1, 1002, 0, 0, 1000}), DropReason::none);
  EXPECT_EQ(s.c().window.allowed[kOriginal] - s.iss, 2002u);
}

TEST(TcpWindow, TheRestOfAFragmentedSegmentMayBeAcknowledged) {
  Scene s;
  s.open();
  Parsed p;
  p.tuple = s.t;
  p.fragment = true;
  p.tcp_flags = kAck;
  p.tcp_seq = s.iss + 1;
  p.tcp_ack = p.tcp_sack = s.irs + 1;
  p.tcp_window = 1000;
  p.payload = 100;
  EXPECT_EQ(s.table.update(s.id, kOriginal, p, s.now), DropReason::none);
  EXPECT_EQ(s.pass({kReply, kAck, 1, 900}), DropReason::none);
  EXPECT_EQ(s.seconds_left(), 432000u) << "perhaps it was all: nothing says that more is due";
  EXPECT_EQ(s.pass({kReply, kAck, 1, 1002}), DropReason::ct_window);
  EXPECT_EQ(s.pass({kOriginal, kAck, 1001, 1, 50}), DropReason::none);
  EXPECT_EQ(s.seconds_left(), 300u) << "this is due";
}

TEST(TcpWindow, LiberalLetsEverythingPassButResets) {
  Scene s;
  s.open();
  s.liberal = true;
  EXPECT_EQ(s.pass({kOriginal, kAck, 500000, 1, 10}), DropReason::none);
  EXPECT_EQ(s.pass({kOriginal, kAck, 1, 500000}), DropReason::none);
  EXPECT_EQ(s.pass({kOriginal, kRst, 500000, 0}), DropReason::ct_window);
  EXPECT_EQ(s.pass({kOriginal, kRst, 0xffffff00, 0}), DropReason::ct_rst);
  EXPECT_EQ(s.c().tcp, TcpState::established);
}

TEST(TcpWindow, APickedUpConnectionIsNotHeldToAWindowNobodySaw) {
  Scene s;
  EXPECT_EQ(s.pass({kOriginal, kAck, 1000, 2000, 10}), DropReason::none);
  EXPECT_EQ(s.pass({kReply, kAck, 900000, 1010, 10}), DropReason::none);
  EXPECT_EQ(s.pass({kOriginal, kAck, 500000, 900010, 10}), DropReason::none);
  EXPECT_EQ(s.pass({kOriginal, kAck, 500010, 2000000000}), DropReason::none);
  EXPECT_EQ(s.c().tcp, TcpState::established);
}

TEST(TcpWindow, AfterAResetWhateverPassesRefreshes) {
  Scene s;
  s.pass({kOriginal, kAck, 1000, 2000, 10});
  s.pass({kReply, kAck, 2000, 1010, 10});
  EXPECT_EQ(s.pass({kReply, kRst, 3000, 0}), DropReason::none);
  EXPECT_EQ(s.seconds_left(), 10u);
  EXPECT_EQ(s.pass({kOriginal, kAck, 1010, 999999999}), DropReason::none);
  EXPECT_GT(s.seconds_left(), 200u);
}

// ---- RST --------------------------------------------------------------------------------

struct Reset {
  const char* sentence;
  Scene::Segment segment;
  DropReason reason;
  bool ends;  // the connection
};

TEST(TcpWindow, AResetIsAsGoodAsItsNumber) {
  // Sent: initiator 501, responder 201; acknowledged: 401 and 201.  The initiator sent last.
  const Reset rows[] = {
      {"exactly what was acknowledged", {kOriginal, kRst, 401, 0}, DropReason::none, true},
      {"continues the sender's last segment",
       {kOriginal, kRst, 501, 0},
       DropReason::none,
       true},
      {"below", {kOriginal, kRst, 400, 0}, DropReason::ct_rst, false},
      {"far below", {kOriginal, kRst, 0x90000000, 0}, DropReason::ct_rst, false},
      {"in between", {kOriginal, kRst, 450, 0}, DropReason::none, false},
      {"the last byte of the window", {kOriginal, kRst, 1401, 0}, DropReason::none, false},
      {"past the window", {kOriginal, kRst, 1402, 0}, DropReason::ct_window, false},
      {"with an acknowledgement of what was not sent",
       {kOriginal, kRst | kAck, 401, 202},
       DropReason::ct_window,
       false},
      {"the responder's", {kReply, kRst | kAck, 201, 501}, DropReason::none, true},
      {"the responder's, one off", {kReply, kRst, 202, 0}, DropReason::none, false},
      {"the responder's, old", {kReply, kRst, 200, 0}, DropReason::ct_rst, false},
  };
  for (const Reset& row : rows) {
    SCOPED_TRACE(row.sentence);
    Scene s;
    s.open();
    s.pass({kOriginal, kAck, 1, 1, 400});
    s.pass({kReply, kAck, 1, 401, 200});
    s.pass({kOriginal, kAck, 401, 201, 100});
    const Nanos before = s.c().deadline;
    EXPECT_EQ(s.pass(row.segment), row.reason);
    if (row.reason != DropReason::none) {
      EXPECT_EQ(s.c().deadline, before);
    } else {
      EXPECT_EQ(s.seconds_left(), 10u);
    }
    EXPECT_EQ(s.c().tcp, row.ends ? TcpState::close : TcpState::established);
    if (!row.ends && row.reason == DropReason::none) {
      // The challenge of the other side shows that the connection lives.
      EXPECT_EQ(s.pass({row.segment.side == kOriginal ? kReply : kOriginal, kAck,
                        row.segment.side == kOriginal ? 201u : 501u,
                        row.segment.side == kOriginal ? 501u : 201u}),
                DropReason::none);
      EXPECT_GT(s.seconds_left(), 200u);
    }
  }
}

TEST(TcpWindow, ARefusalEndsTheEntryIfItAnswersTheSyn) {
  const Reset rows[] = {
      {"acknowledges the SYN", {kReply, kRst | kAck, 0, 1}, DropReason::none, true},
      {"acknowledges more", {kReply, kRst | kAck, 0, 2}, DropReason::ct_window, false},
      {"acknowledges less", {kReply, kRst | kAck, 0, 0xfffffff0}, DropReason::none, false},
      {"acknowledges nothing", {kReply, kRst, 77, 0}, DropReason::none, false},
      {"is the initiator's own", {kOriginal, kRst, 1, 0}, DropReason::none, false},
  };
  for (const Reset& row : rows) {
    SCOPED_TRACE(row.sentence);
    Scene s;
    s.pass({kOriginal, kSyn, 0, 0});
    EXPECT_EQ(s.pass(row.segment), row.reason);
    EXPECT_EQ(s.c().deadline <= s.now, row.ends);
    EXPECT_EQ(s.c().replied, 0);
    ConnId found = kNoConn;
    Side side{};
    s.table.find({&s.t, 1}, s.now, {&found, 1}, {&side, 1});
    EXPECT_EQ(found == kNoConn, row.ends);
  }
}

// ---- SYNs out of turn -------------------------------------------------------------------

TEST(TcpWindow, TheAnswerToAPassedSynBringsItsWindows) {
  Scene s;
  s.open();
  // The initiator has restarted, with another number and scale.
  EXPECT_EQ(s.pass({kOriginal, kSyn, 700000, 0, 0, 0, 1000, 2}), DropReason::none);
  EXPECT_EQ(s.c().tcp, TcpState::established);
  EXPECT_EQ(s.pass({kReply, kSyn | kAck, 90000, 700001, 0, 0, 1000, 3}), DropReason::none);
  EXPECT_EQ(s.c().tcp, TcpState::syn_recv);
  EXPECT_EQ(s.pass({kOriginal, kAck, 700001, 90001}), DropReason::none);
  EXPECT_EQ(s.c().tcp, TcpState::established);
  EXPECT_EQ(s.pass({kReply, kAck, 90001, 700001}), DropReason::none);
  EXPECT_EQ(s.c().window.allowed[kOriginal] - s.iss, 700001u + 8000);
  EXPECT_EQ(s.pass({kOriginal, kAck, 1, 1}), DropReason::none);  // of its former life
  EXPECT_EQ(s.c().window.end[kOriginal] - s.iss, 700001u);
}

TEST(TcpWindow, ASecondSynWithAnotherNumberDoesNotReplaceTheFirst) {
  for (const bool takes_second : {false, true}) {
    SCOPED_TRACE(takes_second);
    Scene s;
    s.pass({kOriginal, kSyn, 0, 0, 0, 0, 1000, 1});
    EXPECT_EQ(s.pass({kOriginal, kSyn, 5000000, 0, 0, 0, 1000, 2}), DropReason::none);
    const uint32_t begin = takes_second ? 5000001 : 1;
    EXPECT_EQ(s.pass({kReply, kSyn | kAck, 0, begin, 0, 0, 1000, 3}), DropReason::none);
    EXPECT_EQ(s.c().tcp, TcpState::syn_recv);
    EXPECT_EQ(s.pass({kOriginal, kAck, begin, 1}), DropReason::none);
    EXPECT_EQ(s.c().tcp, TcpState::established);
    EXPECT_EQ(s.pass({kOriginal, kAck, begin + 900, 1, 100}), DropReason::none);
    EXPECT_EQ(s.c().window.end[kOriginal] - s.iss, begin + 1000);
  }
}

TEST(TcpWindow, ASynAckOfSomethingLongGoneAnswersNothing) {
  Scene s;
  s.pass({kOriginal, kSyn, 0, 0});
  EXPECT_EQ(s.pass({kReply, kSyn | kAck, 5000, 1u - 66001}), DropReason::none);
  EXPECT_EQ(s.c().tcp, TcpState::syn_sent);
  EXPECT_EQ(s.c().replied, 0);
}

TEST(TcpWindow, ASynAckOfWhatWasNotSentIsRefused) {
  Scene s;
  s.pass({kOriginal, kSyn, 0, 0});
  EXPECT_EQ(s.pass({kReply, kSyn | kAck, 0, 2}), DropReason::ct_window);
  EXPECT_EQ(s.c().tcp, TcpState::syn_sent);
  EXPECT_EQ(s.pass({kReply, kSyn | kAck, 0, 1}), DropReason::none);
}

// ---- timeouts that hang on the window ---------------------------------------------------

TEST(TcpWindow, AStalledConnectionIsKeptFiveMinutes) {
  const auto left = [](std::vector<Scene::Segment> segments) {
    Scene s;
    s.open();
    for (const Scene::Segment& segment : segments) {
      EXPECT_EQ(s.pass(segment), DropReason::none);
    }
    return s.seconds_left();
  };
  const Scene::Segment data{kOriginal, kAck, 1, 1, 100};
  const Scene::Segment answer{kReply, kAck, 1, 101};
  const Scene::Segment more{kOriginal, kAck, 101, 1, 1};
  EXPECT_EQ(left({}), 432000u);
  EXPECT_EQ(left({data}), 300u);
  EXPECT_EQ(left({data, answer}), 432000u);
  EXPECT_EQ(left({data, {kReply, kAck, 1, 101, 0, 0, 0}}), 300u);  // the window is closed
  EXPECT_EQ(left({data, answer, {kOriginal, kAck, 1, 1, 100}}), 432000u);
  EXPECT_EQ(left({data, answer, data, data}), 432000u);
  EXPECT_EQ(left({data, answer, data, data, data}), 300u);  // the third time
  const Scene::Segment alive{kOriginal, kAck, 100, 1, 1};   // the last byte once more
  EXPECT_EQ(left({data, answer, alive, answer, alive, answer, alive, answer, alive}), 432000u);
  EXPECT_EQ(left({data, answer, data, data, data, more, {kReply, kAck, 1, 102}}), 432000u);
}

TEST(TcpWindow, TheCalicoPresetKnowsNoStall) {
  Scene s;
  s.table = std::move(*ConnTable::make({64, Timeouts::calico_bpf_preset(), {1, 2}}));
  s.id = s.table.create(s.t, s.now).id;
  s.open();
  s.pass({kOriginal, kAck, 1, 1, 100});
  EXPECT_EQ(s.seconds_left(), 3600u);
}

// ---- any numbers ------------------------------------------------------------------------

// Numbers close to the edges, where the two could part.
TEST(TcpWindow, TheShortWayDoesAsTheLongOneOrNothing) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 generator(seed);
  const auto random = [&] { return static_cast<uint32_t>(generator()); };
  const auto around = [&](uint32_t x) { return x + random() % 5 - 2; };
  int taken = 0;
  for (int i = 0; i < 200'000; ++i) {
    TcpWindow w;
    TcpMarks m;
    m.original_scale = random() & 3;
    m.reply_scale = random() & 3;
    m.retransmissions = random() & 3;
    m.last_sender = random() & 1;
    m.zero_window = random() & 1;
    m.reset_waits = random() & 1;
    m.end_guessed = random() & 1;
    for (const Side side : {kOriginal, kReply}) {
      w.end[side] = random() % 4 == 0 ? random() % 8 : random();
      w.acked[side] = w.end[side] - random() % 3 * 100;
      w.allowed[side] = w.end[side] + random() % 3 * 100;
      w.largest[side] = static_cast<uint16_t>(random() % 4 == 0 ? random() % 2 : random());
    }
    const Side side = random() % 2 == 0 ? kOriginal : kReply;
    const Side peer = side == kOriginal ? kReply : kOriginal;
    TcpSegment s;
    s.has_ack = true;
    s.seq = around(random() % 2 == 0 ? w.end[side] : w.allowed[side]);
    s.ack = s.sack = around(random() % 2 == 0 ? w.end[peer] : w.acked[peer]);
    s.data = random() % 2 == 0;
    s.end = s.seq + (s.data ? 1 + random() % 100 : 0);
    s.window = static_cast<uint16_t>(random() % 3 == 0 ? random() % 2 : random());
    TcpWindow short_w = w;
    TcpMarks short_m = m;
    const auto same = [&] {
      return w.end == short_w.end && w.allowed == short_w.allowed && w.acked == short_w.acked &&
             w.largest == short_w.largest && std::memcmp(&m, &short_m, sizeof m) == 0;
    };
    if (!pass_common(short_w, short_m, side, {s.seq, s.end - s.seq, s.ack, s.window})) {
      ASSERT_TRUE(same()) << i;
      continue;
    }
    ++taken;
    ASSERT_EQ(pass_window(w, m, side, s), Fit::good) << i;
    ASSERT_TRUE(same()) << i;
  }
  EXPECT_GT(taken, 20'000);
}

// A transfer both ways with loss, reordering and duplicates in front of us: nothing that a
// correct stack sends is refused.
TEST(TcpWindow, RealTransfersAreNeverRefused) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 generator(seed);
  const auto random = [&] { return static_cast<uint32_t>(generator()); };
  for (int run = 0; run < 200; ++run) {
    Scene s(random(), random());
    s.open(static_cast<uint8_t>(random() % 15), static_cast<uint8_t>(random() % 15));
    struct Peer {
      uint32_t next = 1, acked = 1, got = 1, limit = 1001;
    } peers[2];
    const unsigned scale[2] = {s.c().marks.scale(kOriginal), s.c().marks.scale(kReply)};
    for (int turn = 0; turn < 500; ++turn) {
      const Side side = random() % 2 == 0 ? kOriginal : kReply;
      Peer& me = peers[side];
      Peer& other = peers[1 - side];
      uint32_t seq = me.next;
      uint32_t length = 0;
      if (random() % 2 == 0) {
        if (random() % 5 == 0 && seq_before(me.acked, me.next)) {
          seq = me.acked;  // sent again
        }
        length = std::min<uint32_t>(random() % 1400, me.limit - seq);
      }
      me.next = seq_after(seq + length, me.next) ? seq + length : me.next;
      const auto window = static_cast<uint16_t>(1000 + random() % 3000);
      ASSERT_EQ(s.pass({side, kAck, seq, me.got, static_cast<uint16_t>(length), 0, window}),
                DropReason::none)
          << "run " << run << " turn " << turn;
      if (random() % 4 != 0) {  // not lost behind us
        if (!seq_after(seq, other.got) && seq_after(seq + length, other.got)) {
          other.got = seq + length;
        }
        other.acked = me.got;
        const uint32_t limit = me.got + (uint32_t{window} << scale[side]);
        other.limit = seq_after(limit, other.limit) ? limit : other.limit;
      }
    }
  }
}

}  // namespace
}  // namespace sluice
