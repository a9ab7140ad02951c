// SPDX-License-Identifier: Apache-2.0
#include "classifier/verdict.h"

#include <array>

namespace sluice {
namespace {

#define SLUICE_NAME(reason) std::string_view(#reason),
constexpr std::array<std::string_view, kDropReasons> kReasonNames = {
    std::string_view("none"), SLUICE_DROP_REASONS(SLUICE_NAME)};
#undef SLUICE_NAME

constexpr std::array<std::string_view, kFates> kFateNames = {"forwarded", "punted", "consumed",
                                                             "held", "dropped"};

}  // namespace

std::string_view name(DropReason reason) {
  return kReasonNames[static_cast<size_t>(reason)];
}

std::string_view name(Fate fate) {
  return kFateNames[static_cast<size_t>(fate)];
}

}  // namespace sluice
