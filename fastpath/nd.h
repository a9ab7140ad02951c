// SPDX-License-Identifier: Apache-2.0
// IPv6 neighbour discovery, the counterpart of arp.h: on pod ports and the host port we answer
// for our own link-local address, which pods have as their gateway, and for every other address
// but the asker's own and link-local ones; on an uplink that is ours for the node's addresses;
// and we learn who answers.  An uplink that belongs to the kernel never gets here.
// Router solicitations and multicast listener reports are absorbed: we route, but advertise
// nothing.  Worker-local; writes the shared Neighbours.
// Source: Calico semantics 8.1, RFC 4861, RFC 4862, RFC 3810.
#ifndef SLUICE_FASTPATH_ND_H_
#define SLUICE_FASTPATH_ND_H_

#include "fastpath/output.h"
#include "fastpath/punt_police.h"

namespace sluice {

// Is it of neighbour discovery or multicast listener discovery, which never leave the link?
// REQUIRES: parse_ip6() took it.
bool is_nd(const rte_mbuf* frame, const Parsed& p) noexcept;

// Answers or absorbs it and ends it: consumed, or dropped with ip6_hop (it came from another
// link), l4_truncated, l4_checksum, icmp_type (what only routers send, or about what
// is no host's address), ip6_src, rpf_workload, endpoint_down, or res_punt_rate (a question too
// many, of ARP's rate).
void handle_nd(Output& out, PuntPolice& police, rte_mbuf* frame, const Parsed& p,
               PortId port) noexcept;

// A solicitation for `target`, sent on `port` from `source`.
void ask_nd(Output& out, PortId port, const Address& source, const Address& target) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_ND_H_
