// SPDX-License-Identifier: Apache-2.0
// A rate limit told as time: tokens come one `every` so often, and as many as make up `reach`
// can be saved up.  It begins full.
//
// Owned by one worker; no clock of its own.
#ifndef SLUICE_FASTPATH_TOKEN_BUCKET_H_
#define SLUICE_FASTPATH_TOKEN_BUCKET_H_

#include <algorithm>

#include "fastpath/nanos.h"

namespace sluice {

class TokenBucket {
 public:
  // Takes a token; false when there is none.  `every` and `reach` may change from call to call.
  bool take(Nanos now, Nanos every, Nanos reach) noexcept {
    const Nanos full_at = std::max(full_at_, now) + every;
    if (full_at > now + std::max(every, reach)) {
      return false;
    }
    full_at_ = full_at;
    return true;
  }

 private:
  Nanos full_at_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_TOKEN_BUCKET_H_
