// SPDX-License-Identifier: Apache-2.0
// Pods that send nothing: AF_XDP sockets on veths, as sluiced opens them, in a network
// namespace of the process's own.
//
// One per process, made by its first thread before others start.  Needs root.
#ifndef SLUICE_PERF_IDLE_PODS_H_
#define SLUICE_PERF_IDLE_PODS_H_

#include <memory>
#include <vector>

#include "classifier/result.h"
#include "fastpath/buffers.h"
#include "fastpath/port.h"

namespace sluice::perf {

class IdlePods {
 public:
  static Result<IdlePods> make(unsigned count);
  const std::vector<std::unique_ptr<Port>>& ports() const { return ports_; }

 private:
  std::unique_ptr<Buffers> buffers_;
  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_IDLE_PODS_H_
