// SPDX-License-Identifier: Apache-2.0
#include "control/report.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using nlohmann::json;

Counter& drops(Counters& c, DropReason reason) {
  return c.drops[static_cast<size_t>(reason)];
}

TEST(Report, AddsUpTheWorkersDropsAndNamesThoseThatCounted) {
  Counters one(1);
  Counters two(1);
  drops(one, DropReason::ip4_ttl).add(2);
  drops(two, DropReason::ip4_ttl).add(3);
  drops(two, DropReason::tun_src).add(1);
  two.inner_drops[static_cast<size_t>(DropReason::ip4_ttl)].add(1);
  const Counters* const workers[] = {&one, &two};
  EXPECT_EQ(drops_json(workers, {}), (json{{"ip4_ttl", 5}, {"tun_src", 1}}));
  EXPECT_EQ(inner_drops_json(workers), (json{{"ip4_ttl", 1}}));
}

TEST(Report, AddsWhatThePortsMissedToTheDrops) {
  const Counters worker(1);
  const Counters* const workers[] = {&worker};
  const PortName ports[] = {{0, "uplink", 5}, {2, "calia", 2}};
  EXPECT_EQ(drops_json(workers, ports), (json{{"rx_missed", 7}}));
  EXPECT_EQ(ports_json(workers, ports)["uplink"]["missed"], 5);
}

}  // namespace
}  // namespace sluice::control
