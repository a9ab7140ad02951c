// SPDX-License-Identifier: Apache-2.0
#include "classifier/verdict.h"

#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

// The registry as the reliability rules publish it.  A name here is a promise to users.
constexpr const char* kRegistry = R"(
l2_runt l2_oversize l2_bad_dst l2_bad_src l2_vlan l2_ethertype arp_invalid
ip4_truncated ip4_version ip4_ihl ip4_total_len ip4_checksum ip4_options ip4_src ip4_dst ip4_land ip4_ttl
ip6_truncated ip6_version ip6_len ip6_disabled ip6_ext ip6_src ip6_dst ip6_hop
l4_truncated l4_port_zero l4_checksum tcp_offset tcp_flags udp_len
icmp_type icmp_quote icmp_unrelated icmp_quote_mismatch icmp_unsolicited
ct_invalid ct_midflow ct_window ct_rst ct_table_full ct_embryonic ct_endpoint_limit
frag_tiny frag_len frag_oversize frag_overlap frag_duplicate frag_no_head frag_too_many frag_table_full
tun_src tun_dst tun_fragment tun_nested tun_ecn tun_from_workload
rpf_workload rpf_uplink rpf_tunnel rt_no_route rt_blackhole rt_transit neigh_unresolved mtu_exceeded
endpoint_down policy_not_ready policy_deny_egress policy_deny_ingress policy_recheck
res_mbuf res_tx res_punt res_punt_rate rx_missed port_down sys_bug
)";

TEST(DropReason, NamesAreTheRegistryInItsOrder) {
  std::istringstream words(kRegistry);
  std::string word;
  size_t i = 1;
  for (; words >> word; ++i) {
    ASSERT_LT(i, kDropReasons) << word;
    EXPECT_EQ(name(static_cast<DropReason>(i)), word);
  }
  EXPECT_EQ(i, kDropReasons);
  EXPECT_EQ(name(DropReason::none), "none");
}

TEST(Fate, HasFiveNames) {
  EXPECT_EQ(name(Fate::forwarded), "forwarded");
  EXPECT_EQ(name(Fate::punted), "punted");
  EXPECT_EQ(name(Fate::consumed), "consumed");
  EXPECT_EQ(name(Fate::held), "held");
  EXPECT_EQ(name(Fate::dropped), "dropped");
}

}  // namespace
}  // namespace sluice
