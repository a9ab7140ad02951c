// SPDX-License-Identifier: Apache-2.0
// How much of what nobody has asked for reaches the node's own kernel: packets punted to it,
// but those of connections that it has answered or opened and those that an untracked policy
// allows, and questions by ARP and neighbour discovery that sluice answers.
//
// Owned by one worker, which has its share of the rates; a tenth of a second's worth, and
// kLeastBurst at least, may come at once.  Source: reliability rules, section 7.
#ifndef SLUICE_FASTPATH_PUNT_POLICE_H_
#define SLUICE_FASTPATH_PUNT_POLICE_H_

#include "fastpath/tables.h"
#include "fastpath/token_bucket.h"

namespace sluice {

class PuntPolice {
 public:
  static constexpr uint64_t kLeastBurst = 64;

  explicit PuntPolice(uint8_t workers) : workers_(workers) {}

  // May one more pass?  It counts if so.
  bool packet(const PathOptions& options, Nanos now) noexcept {
    return take(packets_, options.punt_rate, now);
  }
  bool arp(const PathOptions& options, Nanos now) noexcept {
    return take(arp_, options.punt_arp_rate, now);
  }

 private:
  bool take(TokenBucket& bucket, uint32_t rate, Nanos now) const noexcept {
    if (rate == 0) {
      return true;
    }
    const Nanos every = kSecond * workers_ / rate;
    return bucket.take(now, every, std::max(kSecond / 10, kLeastBurst * every));
  }

  Nanos workers_;
  TokenBucket packets_;
  TokenBucket arp_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PUNT_POLICE_H_
