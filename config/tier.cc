// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/kinds.h"

namespace sluice::config {
namespace {

// A DNS-1123 label: what a tier may be called.
bool is_dns_label(std::string_view s) {
  constexpr size_t kMaxLabel = 63;
  return !s.empty() && s.size() <= kMaxLabel && s.front() != '-' && s.back() != '-' &&
         s.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

void read_tier(const Value& object, Meta meta, ResourceLists& model) {
  Tier t;
  const auto reserved =
      std::find_if(std::begin(kReservedTiers), std::end(kReservedTiers),
                   [&](const ReservedTier& r) { return r.name == meta.name; });
  const bool is_reserved = reserved != std::end(kReservedTiers);
  if (is_reserved) {
    t.order = reserved->order;
    t.pass = reserved->pass;
  }
  read_spec(object,
            {
                {"order", [&](const Value& x) { t.order = x.number().value_or(t.order); }},
                {"defaultAction",
                 [&](const Value& x) {
                   if (const auto i = x.one_of({"Deny", "Pass"})) {
                     t.pass = *i == 1;
                   }
                 }},
            });
  if (!is_dns_label(meta.name)) {
    object.error("\"" + meta.name + "\" cannot name a tier",
                 "at most 63 lower case letters, digits and '-'");
  }
  if (is_reserved && (t.order != reserved->order || t.pass != reserved->pass)) {
    object.error("tier \"" + meta.name + "\" is reserved: its order is " +
                 std::to_string(static_cast<int>(reserved->order)) +
                 " and its defaultAction is " + (reserved->pass ? "Pass" : "Deny"));
  }
  t.meta = std::move(meta);
  model.tiers.push_back(std::move(t));
}

}  // namespace sluice::config
