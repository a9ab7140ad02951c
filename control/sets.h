// SPDX-License-Identifier: Apache-2.0
// The sets that rules name by selector, named port or service: an id each, and who is in them.
//
// An id stays with its set from one compilation to the next, and a set whose members are the
// same stays the very same value.  Written and read by one compilation at a time.
// Source: Calico semantics, sections 3.4 to 3.6.
#ifndef SLUICE_CONTROL_SETS_H_
#define SLUICE_CONTROL_SETS_H_

#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "classifier/rule.h"
#include "control/endpoints.h"

namespace sluice::control {

class Sets {
 public:
  explicit Sets(const Inventory& inventory) : inventory_(inventory) {}

  // Who the selector holds for; selectors with one canonical text share a set.
  SetId addresses(const Selector& selector);
  SetId addresses(const ServiceName& service);
  // The ports of that name that endpoints have; of `selector` and `protocol` only, if given.
  SetId ports(const std::string& name, const std::optional<Selector>& selector,
              std::optional<uint8_t> protocol);
  SetId ports(const ServiceName& service);

  // Puts the sets that the rule names, with the members that the inventory has now, into `out`,
  // and what Calico calls them into `names`.
  void fill(const Rule& rule, RuleSet& out, SetNames& names);
  // Gives up the sets that none of `lists` names: their ids are free then.
  void keep_only(const std::vector<Shared<RuleList>>& lists);

  size_t filled() const { return filled_; }  // sets whose members were gathered, ever

 private:
  template <typename Members>
  struct Entry {
    std::string key;   // "" for a free one
    std::string name;  // what Calico calls it
    Matching whose;
    std::optional<ServiceName> service;
    std::string port;
    std::optional<uint8_t> protocol;
    Shared<Members> members;
    uint64_t as_of = 0;  // the inventory's serial; 0: never
  };
  template <typename Members>
  struct Kind {
    std::vector<Entry<Members>> entries;  // by SetId
    std::vector<SetId> free;
    std::unordered_map<std::string, SetId> ids;  // by key
  };
  // The set of that key; a new one is as `fill` makes it.
  template <typename Members, typename Fill>
  static SetId find_or_add(Kind<Members>& kind, const std::string& key, const Fill& fill);
  template <typename Members>
  const Shared<Members>& current(Entry<Members>& entry);
  template <typename Members>
  static void keep_only(Kind<Members>& kind, const std::vector<bool>& named);
  template <typename Members>
  using MembersOf = std::conditional_t<std::is_same_v<Members, AddressSet>, std::vector<Prefix>,
                                       std::vector<PortSet::Member>>;
  // What one bearer of the entry's labels brings to the set.
  static void add(const Entry<AddressSet>& entry, const Workload& w, std::vector<Prefix>& to);
  static void add(const Entry<AddressSet>& entry, const LabelledSet& set,
                  std::vector<Prefix>& to);
  static void add(const Entry<PortSet>& entry, const Workload& w,
                  std::vector<PortSet::Member>& to);
  static void add(const Entry<PortSet>&, const LabelledSet&, std::vector<PortSet::Member>&) {}
  template <typename Members>
  Members gather(const Entry<Members>& entry) const;
  template <typename Members>
  bool is_same(const Entry<Members>& entry) const;

  const Inventory& inventory_;
  Kind<AddressSet> addresses_;
  Kind<PortSet> ports_;
  size_t filled_ = 0;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_SETS_H_
