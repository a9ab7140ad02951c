// SPDX-License-Identifier: Apache-2.0
// The one pointer between control and the workers, and the quiescent-state variable that says
// when an old View may be freed (DPDK's rte_rcu_qsbr).
//
// Control stores a new View and waits in replace() until every online worker has reported a
// quiescent point since; workers load the pointer at the start of each turn and hold nothing
// over its end.  A sleeping worker is offline and is not waited for.  If one does not report in
// time, what was replaced is kept, one View at most, until settle() finds that all have.
#ifndef SLUICE_FASTPATH_PUBLISHED_H_
#define SLUICE_FASTPATH_PUBLISHED_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "classifier/result.h"
#include "fastpath/view.h"

struct rte_rcu_qsbr;

namespace sluice {

class Published {
 public:
  static Result<std::unique_ptr<Published>> create(unsigned workers);
  ~Published();
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  // Makes `next` visible, waits for the workers and frees what it replaced.  False if a worker
  // has not reported within `patience`: it may still read the View before.  One caller at a
  // time.  REQUIRES: settled(); next's generation, routes and matcher are set.
  bool replace(std::unique_ptr<const View> next, std::chrono::milliseconds patience);
  // Asks once more, without waiting; true if nobody can see what was replaced (it is freed).
  bool settle() noexcept;
  bool settled() const noexcept { return old_ == nullptr; }
  const View* view() const noexcept { return view_.load(std::memory_order_acquire); }

  // For workers; `id` below the number given to create().
  void enter(unsigned id) noexcept;      // registered and online: replace() waits for us
  void quiescent(unsigned id) noexcept;  // holds no reference
  void offline(unsigned id) noexcept;
  void online(unsigned id) noexcept;
  void leave(unsigned id) noexcept;

 private:
  Published() = default;
  std::atomic<const View*> view_{nullptr};
  std::unique_ptr<const View> old_;  // replaced, and not yet free
  uint64_t token_ = 0;               // of its replacement
  rte_rcu_qsbr* qsbr_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PUBLISHED_H_
