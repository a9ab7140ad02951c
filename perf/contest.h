// SPDX-License-Identifier: Apache-2.0
// All subjects on the same frames of one scene, in turns: what they take for a packet.
//
// One run: rings of 1024 frames are written, untimed; then the TSC is read, 16 bursts of 64 go
// through the subject, and it is read again.  With `new_ratio` that share of the frames, chosen
// at random, are SYNs of flows that are not known; after the run, untimed, the subject forgets
// those flows again.  The first run of each subject warms up, then they take turns, so that a
// noisy moment meets them all.  A packet that does not come out ends the program.
#ifndef SLUICE_PERF_CONTEST_H_
#define SLUICE_PERF_CONTEST_H_

#include <span>
#include <string>
#include <vector>

#include "perf/figure.h"
#include "perf/node.h"
#include "perf/scene.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::perf {

inline constexpr unsigned kRing = 1024;  // frames that lie ready, as in a NIC's ring
inline constexpr const char* kFloor = "floor";
inline constexpr const char* kSluice = "sluice";
inline constexpr const char* kReading = " read";  // the stages up to there, alone
inline constexpr const char* kFinding = " read, find";
inline constexpr const char* kFirewall = "DPDK firewall";
inline constexpr const char* kPlainDpdk = "plain DPDK";

// What lies under all tables: 4 KiB pages, or transparent huge ones.
enum class Pages : uint8_t { small, huge };
const char* name(Pages pages);

struct Trial {
  Scene scene;
  const Node* node = nullptr;
  unsigned rules = 0;  // of a program of the node's, to tell
  double new_ratio = 0;
  Pages pages = Pages::small;
  uint64_t packets = 524288;  // of a run, at least
  unsigned runs = 9;
  bool counted = false;  // under callgrind: each subject's run is dumped
};

struct Outcome {
  std::string subject;
  Figure cycles;  // TSC, per packet
};

// One result for each subject; sluice's stages and `plain DPDK` only where no packet is of a
// new flow, the DPDK firewall only where it can say the node's policies.  None where the kernel
// gave no huge pages.  EAL's memory never goes back to small ones: measure those first.
// REQUIRES: frames.size() == kRing.
std::vector<Outcome> measure(const Trial& trial, rte_mempool* pool,
                             std::span<rte_mbuf*> frames);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_CONTEST_H_
