// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any sequence of fragments, six bytes each, told to the table and to its
// naive twin, which must agree on every answer and on every frame that goes.
#include <cstdint>
#include <cstdlib>

#include "tests/support/fragment_twin.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  constexpr Nanos kMs = 1000000;
  constexpr size_t kStep = 6;
  if (size < 1) {
    return 0;
  }
  // One table for all inputs: to make one takes longer than to use it.  Each input comes so
  // much later that nothing is left of the one before, and has the bound that it had.
  static test::FragmentPair pair(12, {7, 8});
  static Nanos now = 1000 * kMs;
  for (int i = 0; i < 1000 && pair.fast().size() > 0; ++i) {
    now += Fragments::kIdle;
    if (!pair.expire(now)) {
      std::abort();
    }
  }
  for (const uint8_t* at = data; size - static_cast<size_t>(at - data) >= kStep; at += kStep) {
    const bool more = (at[0] & 1) != 0;
    const auto id = static_cast<uint16_t>(at[0] >> 1 & 7);
    const auto port = static_cast<PortId>(2 + (at[0] >> 4 & 1));
    const Ip4 src{1u + (at[0] >> 5 & 1)};
    const DropReason refuse =
        at[0] >> 6 == 3 ? DropReason::policy_deny_egress : DropReason::none;
    const uint32_t offset = 8u * (uint32_t{at[1]} | (uint32_t{at[2]} & 0x1f) << 8);
    uint32_t bytes = 1 + (uint32_t{at[3]} | (uint32_t{at[4]} & 7) << 8);
    bytes = more ? (bytes + 7) & ~7u : bytes;
    if (offset + bytes + kIp4Bytes > UINT16_MAX) {
      continue;
    }
    // Mostly at once; sometimes about as long as one waits, or as a record lives.
    const uint32_t pause = at[5];
    now += pause < 128   ? pause
           : pause < 224 ? (pause - 128) * 2 * kMs
                         : (pause - 224) * 1000 * kMs;
    const bool same =
        (at[4] & 0x80) != 0
            ? pair.expire(now)
            : pair.add(test::fragment(src, {9}, proto::kUdp, id, offset, bytes, more), port,
                       now, refuse);
    if (!same) {
      std::abort();
    }
  }
  return 0;
}
