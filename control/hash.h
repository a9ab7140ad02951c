// SPDX-License-Identifier: Apache-2.0
// The two digests that Calico builds names from: SHA-1 for a pod's host interface, SHA-224 for
// the identity of a selector.  They name things; nothing here protects anything.
//
// Pure functions, called by control while it compiles; the digests are libcrypto's.
// Source: FIPS 180-4; RFC 4648 section 5 (base64url).
#ifndef SLUICE_CONTROL_HASH_H_
#define SLUICE_CONTROL_HASH_H_

#include <string>
#include <string_view>

namespace sluice::control {

// SHA-1 as 40 lower-case hex digits.
std::string sha1_hex(std::string_view text);
// SHA-224 as base64url without padding: 38 characters.
std::string sha224_base64url(std::string_view text);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_HASH_H_
