// SPDX-License-Identifier: Apache-2.0
// Who sends to whom in tests of single packets.
#ifndef SLUICE_TESTS_FASTPATH_ENDS_H_
#define SLUICE_TESTS_FASTPATH_ENDS_H_

#include <string_view>

namespace sluice::test {

inline constexpr std::string_view kA = "10.0.0.1", kB = "10.0.0.2";
inline constexpr std::string_view kPeer = "192.0.2.1", kNode = "192.0.2.2";  // tunnel's ends

}  // namespace sluice::test

#endif  // SLUICE_TESTS_FASTPATH_ENDS_H_
