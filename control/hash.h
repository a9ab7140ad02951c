// SPDX-License-Identifier: Apache-2.0
// The digests that Calico builds names from: SHA-1 for a pod's host interface, SHA-224 for the
// identity of a selector and of a rule, SHA-256 for long names of chains.  They name things;
// nothing here protects anything.
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
// SHA-224 as 28 bytes, for digests of digests.
std::string sha224(std::string_view text);
// "n:" and the hash of "n:TEXT": what Calico calls its sets and selectors.
std::string unique_id(std::string_view prefix, std::string_view text);
// SHA-256 as base64url without padding: 43 characters.
std::string sha256_base64url(std::string_view text);
// Any bytes as base64url without padding.
std::string base64url(std::string_view bytes);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_HASH_H_
