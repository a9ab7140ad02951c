// SPDX-License-Identifier: Apache-2.0
#include "control/hash.h"

#include <array>
#include <cassert>
#include <cstdint>
#include <span>

#include <openssl/evp.h>

namespace sluice::control {
namespace {

using Buffer = std::array<unsigned char, EVP_MAX_MD_SIZE>;

std::span<const unsigned char> digest(std::string_view text, const EVP_MD* algorithm,
                                      Buffer& buffer) {
  unsigned length = 0;
  [[maybe_unused]] const int ok =
      EVP_Digest(text.data(), text.size(), buffer.data(), &length, algorithm, nullptr);
  assert(ok == 1);
  return {buffer.data(), length};
}

}  // namespace

std::string sha1_hex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  Buffer buffer{};
  std::string hex;
  for (const unsigned char byte : digest(text, EVP_sha1(), buffer)) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string base64url(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  unsigned held = 0;  // bits that wait in `bits`
  for (const char byte : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(byte);
    held += 8;
    while (held >= 6) {
      held -= 6;
      out += kDigits[bits >> held & 63];
    }
  }
  if (held > 0) {
    out += kDigits[bits << (6 - held) & 63];
  }
  return out;
}

std::string sha224(std::string_view text) {
  Buffer buffer{};
  const auto bytes = digest(text, EVP_sha224(), buffer);
  return {bytes.begin(), bytes.end()};
}

std::string sha224_base64url(std::string_view text) {
  return base64url(sha224(text));
}

std::string unique_id(std::string_view prefix, std::string_view text) {
  const std::string begin = std::string(prefix) + ":";
  return begin + sha224_base64url(begin + std::string(text));
}

std::string sha256_base64url(std::string_view text) {
  Buffer buffer{};
  const auto bytes = digest(text, EVP_sha256(), buffer);
  return base64url(std::string(bytes.begin(), bytes.end()));
}

}  // namespace sluice::control
