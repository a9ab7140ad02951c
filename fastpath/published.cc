// SPDX-License-Identifier: Apache-2.0
#include "fastpath/published.h"

#include <cstdlib>
#include <thread>

#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

namespace sluice {

Result<std::unique_ptr<Published>> Published::create(unsigned workers) {
  std::unique_ptr<Published> p(new Published);
  const size_t bytes = rte_rcu_qsbr_get_memsize(workers);
  const size_t rounded = (bytes + RTE_CACHE_LINE_SIZE - 1) & ~size_t{RTE_CACHE_LINE_SIZE - 1};
  p->qsbr_ = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, rounded));
  if (p->qsbr_ == nullptr || rte_rcu_qsbr_init(p->qsbr_, workers) != 0) {
    return Error{"cannot set up RCU for " + std::to_string(workers) + " workers"};
  }
  return p;
}

Published::~Published() {
  delete view_.load(std::memory_order_relaxed);
  std::free(qsbr_);
}

bool Published::replace(std::unique_ptr<const View> next, std::chrono::milliseconds patience) {
  constexpr unsigned kSpins = 1000;  // a turn takes microseconds
  old_.reset(view_.exchange(next.release(), std::memory_order_acq_rel));
  token_ = rte_rcu_qsbr_start(qsbr_);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (unsigned i = 0; !settle(); ++i) {
    if (i < kSpins) {
      rte_pause();
      continue;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

bool Published::settle() noexcept {
  if (rte_rcu_qsbr_check(qsbr_, token_, /*wait=*/false) != 1) {
    return false;
  }
  old_.reset();
  return true;
}

void Published::enter(unsigned id) noexcept {
  rte_rcu_qsbr_thread_register(qsbr_, id);
  rte_rcu_qsbr_thread_online(qsbr_, id);
}
void Published::quiescent(unsigned id) noexcept {
  rte_rcu_qsbr_quiescent(qsbr_, id);
}
void Published::offline(unsigned id) noexcept {
  rte_rcu_qsbr_thread_offline(qsbr_, id);
}
void Published::online(unsigned id) noexcept {
  rte_rcu_qsbr_thread_online(qsbr_, id);
}
void Published::leave(unsigned id) noexcept {
  rte_rcu_qsbr_thread_offline(qsbr_, id);
  rte_rcu_qsbr_thread_unregister(qsbr_, id);
}

}  // namespace sluice
