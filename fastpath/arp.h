// SPDX-License-Identifier: Apache-2.0
// ARP as a Calico node speaks it: on pod ports and the host port it answers for every address
// but the asker's own (proxy ARP), on an uplink that is ours for the node's addresses; and it
// learns who answers.  An uplink that belongs to the kernel never gets here.
// Worker-local; writes the shared Neighbours.  Source: Calico semantics 8.1, RFC 826, RFC 5227.
#ifndef SLUICE_FASTPATH_ARP_H_
#define SLUICE_FASTPATH_ARP_H_

#include "fastpath/output.h"
#include "fastpath/punt_police.h"

namespace sluice {

// Answers or absorbs the ARP frame and ends it: consumed, or dropped with arp_invalid,
// endpoint_down, or res_punt_rate (a question too many; answers to ours are never).
void handle_arp(Output& out, PuntPolice& police, rte_mbuf* frame, PortId port) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_ARP_H_
