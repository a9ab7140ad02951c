// SPDX-License-Identifier: Apache-2.0
#include "control/sockets.h"

#include <sstream>

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

TEST(Sockets, AreReadFromTheKernelsTables) {
  // Node 192.168.100.111, as a little-endian machine prints it.
  std::istringstream table(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
      "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
      "   1: 6F64A8C0:0016 7164A8C0:9C40 01 00000000:00000000 02:000A7214 00000000     0\n"
      "   2: 6F64A8C0:9C41 7164A8C0:1538 02 00000000:00000000 02:000A7214 00000000     0\n"
      "   3: 6F64A8C0:9C42 7164A8C0:1538 08 00000000:00000000 02:000A7214 00000000     0\n"
      "   4: 6F64A8C0:9C42 what\n"
      "   5: 0000000000000000FFFF00006F64A8C0:1900 0000000000000000FFFF00007164A8C0:9C43 01\n"
      "   6: B80D0120000000000000000001000000:1900 B80D0120000000000000000002000000:9C43 01\n"
      "   7: B80D01200000000000000000:1900 B80D0120000000000000000002000000:9C43 01\n"
      "   8: 6F64A8C0 7164A8C0 01\n");
  NodeFlows flows;
  read_connections(table, flows);
  const Ip4 ours{0xc0a8646f}, theirs{0xc0a86471};
  const NodeFlows want = {
      {ours, theirs, 22, 40000},
      {ours, theirs, 40002, 5432},
      {ours, theirs, 6400, 40003},
      {*parse_address("2001:db8::1"), *parse_address("2001:db8::2"), 6400, 40003}};
  EXPECT_EQ(flows, want);
}

}  // namespace
}  // namespace sluice::control
