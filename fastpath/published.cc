// SPDX-License-Identifier: Apache-2.0
#include "fastpath/published.h"

#include <cstdlib>

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

void Published::replace(std::unique_ptr<const View> next) {
  const View* old = view_.exchange(next.release(), std::memory_order_acq_rel);
  const uint64_t token = rte_rcu_qsbr_start(qsbr_);
  rte_rcu_qsbr_check(qsbr_, token, /*wait=*/true);
  delete old;
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
