// SPDX-License-Identifier: Apache-2.0
// The fragments' part of the pipeline: a piece is noted, waits or is refused before its flow is
// looked up; what became of a first one is known before the next piece is looked at.
#include <rte_mbuf.h>

#include "fastpath/parse.h"
#include "fastpath/pipeline.h"

namespace sluice {

// What its datagram's other pieces say of a fragment.  False: it was ended, or waits.
bool Pipeline::admit(rte_mbuf* frame, Parsed& p, Origin origin) noexcept {
  DropReason reason = check_source(*g_, origin, p.source());
  if (reason == DropReason::none) {
    const Fragments::Answer answer = fragments_.add(p, origin.port, frame, now_);
    drop_lost();
    if (answer.held) {
      meta(frame).set_origin(origin);
      out_.wait(frame);
      return false;
    }
    reason = answer.reason;
  }
  if (reason != DropReason::none) {
    out_.drop(frame, reason);
    return false;
  }
  return true;
}

// Ends the burst after a fragment `p`, its last packet unless that was ended already: what
// becomes of a first one is known before the next piece is looked at.
void Pipeline::follow(Burst& b, const Parsed& p, Origin origin, bool handed_over) noexcept {
  const Parsed first = p;
  track(b);
  b.clear();
  if (!first.later_fragment) {
    release(first, origin, handed_over);
  }
}

// Goes on with those that waited for this first fragment, in the order they came.
void Pipeline::release(const Parsed& first, Origin origin, bool handed_over) noexcept {
  Burst& b = burst_;
  while (rte_mbuf* frame = fragments_.release(first, origin.port)) {
    out_.stop_waiting(frame);
    b.clear();
    Parsed& p = b.parsed[0];
    DropReason reason = read_again(frame, p);
    if (reason == DropReason::none) {
      reason = fragments_.inherit(p, origin.port);
    }
    if (reason != DropReason::none) {
      out_.drop(frame, reason);
    } else {
      add(b, frame, handed_over);
      track(b);
    }
  }
  b.clear();
}

// Ends those that waited in vain.
void Pipeline::drop_lost() noexcept {
  for (Fragments::Lost lost = fragments_.take_lost(); lost.frame != nullptr;
       lost = fragments_.take_lost()) {
    out_.stop_waiting(lost.frame);
    out_.drop(lost.frame, lost.reason);
  }
}

void Pipeline::free_held() noexcept {
  while (rte_mbuf* frame = fragments_.take_held()) {
    out_.free_waiting(frame);
  }
  out_.free_held();
}

}  // namespace sluice
