// SPDX-License-Identifier: Apache-2.0
// What can become of a frame: the five fates, and the registry of drop reasons.
//
// The names of the reasons are a contract: they appear verbatim in counters, logs, metrics and
// `explain`, and are never renamed or reused.  `none` means "not dropped (yet)".
#ifndef SLUICE_CLASSIFIER_VERDICT_H_
#define SLUICE_CLASSIFIER_VERDICT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// The formatter does not come to rest on this list.
// clang-format off
#define SLUICE_DROP_REASONS(X) \
  X(l2_runt) X(l2_oversize) X(l2_bad_dst) X(l2_bad_src) X(l2_vlan) X(l2_ethertype) \
  X(arp_invalid) X(ip4_truncated) X(ip4_version) X(ip4_ihl) X(ip4_total_len) \
  X(ip4_checksum) X(ip4_options) X(ip4_src) X(ip4_dst) X(ip4_land) X(ip4_ttl) \
  X(ip6_truncated) X(ip6_version) X(ip6_len) X(ip6_disabled) X(ip6_ext) X(ip6_src) \
  X(ip6_dst) X(ip6_hop) X(l4_truncated) X(l4_port_zero) X(l4_checksum) X(tcp_offset) \
  X(tcp_flags) X(udp_len) X(icmp_type) X(icmp_quote) X(icmp_unrelated) \
  X(icmp_quote_mismatch) X(icmp_unsolicited) X(ct_invalid) X(ct_midflow) X(ct_window) \
  X(ct_rst) X(ct_table_full) X(ct_embryonic) X(ct_endpoint_limit) X(frag_tiny) X(frag_len) \
  X(frag_oversize) X(frag_overlap) X(frag_duplicate) X(frag_no_head) X(frag_too_many) \
  X(frag_table_full) X(tun_src) X(tun_dst) X(tun_fragment) X(tun_nested) X(tun_ecn) \
  X(tun_from_workload) X(rpf_workload) X(rpf_uplink) X(rpf_tunnel) X(rt_no_route) \
  X(rt_blackhole) X(rt_transit) X(neigh_unresolved) X(mtu_exceeded) X(endpoint_down) \
  X(policy_not_ready) X(policy_deny_egress) X(policy_deny_ingress) X(policy_recheck) \
  X(res_mbuf) X(res_tx) X(res_punt) X(res_punt_rate) X(rx_missed) X(port_down) X(sys_bug)
// clang-format on

enum class DropReason : uint8_t {
  none = 0,
#define SLUICE_ENUM(name) name,
  SLUICE_DROP_REASONS(SLUICE_ENUM)
#undef SLUICE_ENUM
};

#define SLUICE_COUNT(name) +1  // NOLINT(bugprone-macro-parentheses): a summand
inline constexpr size_t kDropReasons = 1 SLUICE_DROP_REASONS(SLUICE_COUNT);
#undef SLUICE_COUNT

// "none" for DropReason::none, the registry name otherwise.
std::string_view name(DropReason reason);

// Every received frame ends in exactly one of these, counted once.
enum class Fate : uint8_t {
  forwarded,  // sent to a pod or the uplink
  punted,     // given to the host's kernel
  consumed,   // answered or absorbed by sluice itself (ARP)
  held,       // waiting for a neighbour or a first fragment; final only if it still waits
  dropped,    // with one DropReason
};
inline constexpr size_t kFates = 5;
std::string_view name(Fate fate);

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_VERDICT_H_
