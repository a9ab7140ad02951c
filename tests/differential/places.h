// SPDX-License-Identifier: Apache-2.0
// Where random clusters have their addresses; plain values.
#ifndef SLUICE_TESTS_DIFFERENTIAL_PLACES_H_
#define SLUICE_TESTS_DIFFERENTIAL_PLACES_H_

#include "tests/differential/cluster.h"

namespace sluice::differential {

constexpr uint32_t kLocalPods = 0x0af40100;   // 10.244.1.0
constexpr uint32_t kRemotePods = 0x0af40200;  // 10.244.2.0
constexpr uint32_t kWorld = 0xc6120000;       // 198.18.0.0
constexpr uint32_t kUplink = 0xc0a86400;      // 192.168.100.0

// Of IPv6 the pods of both nodes are numbered from 1 on, and no pod has one from here on.
constexpr unsigned kNobodys = 16;
inline Ip pod_ip6(unsigned number) {
  return {true, (Bits{0xfd00} << 112) + number};
}

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_PLACES_H_
