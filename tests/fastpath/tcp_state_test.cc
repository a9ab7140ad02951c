// SPDX-License-Identifier: Apache-2.0
// The two transition tables of the reliability rules, section 3, row by row.
#include "fastpath/tcp_state.h"

#include <array>
#include <map>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "fastpath/packet.h"

namespace sluice {
namespace {

struct Steps {
  const char* event;
  const char* cells;  // one a state: NO SS SR ES FW CW LA TW CL S2; "-" invalid, "=" ignored
};

constexpr std::array<Steps, 5> kInitiator = {{
    {"SYN", "SS SS = = = = = SS SS S2"},
    {"SYN+ACK", "- - SR - - - - - - SR"},
    {"FIN", "- - FW FW LA LA LA TW CL -"},
    {"ACK", "ES - ES ES CW CW TW TW CL -"},
    {"RST", "- CL CL CL CL CL CL CL CL CL"},
}};
constexpr std::array<Steps, 5> kResponder = {{
    {"SYN", "- S2 - - - - - SS - S2"},
    {"SYN+ACK", "- SR = = = = = = = SR"},
    {"FIN", "- - FW FW LA LA LA TW CL -"},
    {"ACK", "- = SR ES CW CW TW TW CL ="},
    {"RST", "- CL CL CL CL CL CL CL CL CL"},
}};

const std::map<std::string, TcpState> kStates = {
    {"NO", TcpState::none},     {"SS", TcpState::syn_sent},
    {"SR", TcpState::syn_recv}, {"ES", TcpState::established},
    {"FW", TcpState::fin_wait}, {"CW", TcpState::close_wait},
    {"LA", TcpState::last_ack}, {"TW", TcpState::time_wait},
    {"CL", TcpState::close},    {"S2", TcpState::simultaneous_open},
};
const std::map<std::string, TcpEvent> kEvents = {
    {"SYN", TcpEvent::syn}, {"SYN+ACK", TcpEvent::syn_ack}, {"FIN", TcpEvent::fin},
    {"ACK", TcpEvent::ack}, {"RST", TcpEvent::rst},
};

void check(const std::array<Steps, 5>& rows, bool from_initiator) {
  for (const Steps& row : rows) {
    std::istringstream cells(row.cells);
    std::string cell;
    for (unsigned s = 0; s < kTcpStates; ++s) {
      const auto state = static_cast<TcpState>(s);
      ASSERT_TRUE(cells >> cell);
      SCOPED_TRACE(std::string(row.event) + " in " + std::string(name(state)));
      const TcpStep got = step(state, kEvents.at(row.event), from_initiator);
      EXPECT_EQ(got.valid, cell != "-");
      EXPECT_EQ(got.ignored, cell == "=");
      const bool stays = cell == "-" || cell == "=";
      EXPECT_EQ(got.next, stays ? state : kStates.at(cell)) << name(got.next);
    }
    EXPECT_FALSE(cells >> cell);
  }
}

TEST(TcpState, InitiatorFollowsTheTable) {
  check(kInitiator, true);
}
TEST(TcpState, ResponderFollowsTheTable) {
  check(kResponder, false);
}

TEST(TcpState, EventIsRstElseSynElseFinElseAck) {
  using namespace tcp;
  const struct {
    int flags;
    TcpEvent event;
  } rows[] = {
      {kSyn, TcpEvent::syn},
      {kSyn | kUrg, TcpEvent::syn},
      {kSyn | kAck, TcpEvent::syn_ack},
      {kRst, TcpEvent::rst},
      {kRst | kAck, TcpEvent::rst},
      {kRst | kSyn | kFin, TcpEvent::rst},
      {kFin | kAck, TcpEvent::fin},
      {kFin | kAck | kUrg, TcpEvent::fin},
      {kAck, TcpEvent::ack},
      {kAck | kPsh, TcpEvent::ack},
      {0xc0 | kAck, TcpEvent::ack},  // ECE and CWR mean nothing here
  };
  for (const auto& row : rows) {
    EXPECT_EQ(event_of(static_cast<uint8_t>(row.flags)), row.event) << row.flags;
  }
}

TEST(TcpState, EveryStateHasAName) {
  for (unsigned s = 0; s < kTcpStates; ++s) {
    EXPECT_FALSE(name(static_cast<TcpState>(s)).empty());
  }
  EXPECT_EQ(name(TcpState::simultaneous_open), "simultaneous_open");
}

}  // namespace
}  // namespace sluice
