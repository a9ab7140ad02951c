// SPDX-License-Identifier: Apache-2.0
#include "control/sets.h"

#include <algorithm>

#include "control/hash.h"

namespace sluice::control {
namespace {

// Keys of the three ways to name a set cannot be one another's: no selector begins with a tab.
std::string key_of(const ServiceName& service) {
  return "\tservice\t" + qualified(service.first, service.second);
}

template <typename T>
void put(std::vector<T>& in, SetId id, T value) {
  if (id >= in.size()) {
    in.resize(id + 1);
  }
  in[id] = std::move(value);
}

}  // namespace

template <typename Members, typename Fill>
SetId Sets::find_or_add(Kind<Members>& kind, const std::string& key, const Fill& fill) {
  if (const auto known = kind.ids.find(key); known != kind.ids.end()) {
    return known->second;
  }
  SetId id = static_cast<SetId>(kind.entries.size());
  if (kind.free.empty()) {
    kind.entries.emplace_back();
  } else {
    id = kind.free.back();
    kind.free.pop_back();
  }
  Entry<Members> made;
  made.key = key;
  fill(made);
  kind.ids.emplace(key, id);
  kind.entries[id] = std::move(made);
  return id;
}

SetId Sets::addresses(const Selector& selector) {
  return find_or_add(addresses_, selector.canonical(), [&](Entry<AddressSet>& made) {
    made.name = selector.id();
    made.whose.selector = selector;
  });
}

SetId Sets::addresses(const ServiceName& service) {
  return find_or_add(addresses_, key_of(service), [&](Entry<AddressSet>& made) {
    made.name = unique_id("svcnoport", qualified(service.first, service.second));
    made.service = service;
  });
}

SetId Sets::ports(const std::string& name, const std::optional<Selector>& selector,
                  std::optional<uint8_t> protocol) {
  const std::string key = "\tport\t" + (protocol ? std::to_string(*protocol) : "any") + "\t" +
                          name + "\t" + (selector ? selector->canonical() : "");
  return find_or_add(ports_, key, [&](Entry<PortSet>& made) {
    const Selector whose = selector ? *selector : Selector::all();
    const uint8_t number = protocol.value_or(proto::kTcp);
    const char* text = number == proto::kUdp ? "udp" : number == proto::kSctp ? "sctp" : "tcp";
    made.name = unique_id("n", whose.id() + "," + text + "," + name);
    made.whose.selector = whose;
    made.port = name;
    made.protocol = protocol;
  });
}

SetId Sets::ports(const ServiceName& service) {
  return find_or_add(ports_, key_of(service), [&](Entry<PortSet>& made) {
    made.name = unique_id("svc", qualified(service.first, service.second));
    made.service = service;
  });
}

namespace {

void add(const ServiceMembers& service, std::vector<Prefix>& to) {
  to.insert(to.end(), service.addresses.begin(), service.addresses.end());
}
void add(const ServiceMembers& service, std::vector<PortSet::Member>& to) {
  to.insert(to.end(), service.ports.begin(), service.ports.end());
}

}  // namespace

void Sets::add(const Entry<AddressSet>&, const Workload& w, std::vector<Prefix>& to) {
  for (const Address& address : w.endpoint.addresses) {
    to.push_back(Prefix::of(address, 128));
  }
}

void Sets::add(const Entry<AddressSet>&, const LabelledSet& set, std::vector<Prefix>& to) {
  to.insert(to.end(), set.nets.begin(), set.nets.end());
}

void Sets::add(const Entry<PortSet>& entry, const Workload& w,
               std::vector<PortSet::Member>& to) {
  for (const config::NamedPort& port : w.ports) {
    if (port.name != entry.port || !proto::has_ports(port.protocol) ||
        (entry.protocol && port.protocol != *entry.protocol)) {
      continue;
    }
    for (const Address& address : w.endpoint.addresses) {
      to.push_back({address, port.protocol, port.port});
    }
  }
}

template <typename Members>
Members Sets::gather(const Entry<Members>& entry) const {
  MembersOf<Members> members;
  if (entry.service) {
    if (const ServiceMembers* service = inventory_.service(*entry.service)) {
      control::add(*service, members);
    }
    return Members(members);
  }
  for (const LabelsId id : entry.whose.ids) {
    const Inventory::Bearers& bearers = inventory_.bearers(id);
    for (const Workload* w : bearers.ends) {
      add(entry, *w, members);
    }
    for (const LabelledSet* set : bearers.sets) {
      add(entry, *set, members);
    }
  }
  return Members(members);
}

// Do those who came bring what those who left took away?
template <typename Members>
bool Sets::is_same(const Entry<Members>& entry) const {
  if (entry.service || inventory_.moves() == nullptr) {
    return false;
  }
  MembersOf<Members> left, came;
  for (const Inventory::Move& move : *inventory_.moves()) {
    const auto& ids = entry.whose.ids;
    if (std::binary_search(ids.begin(), ids.end(), move.labels)) {
      std::visit([&](const auto& who) { add(entry, who, move.came ? came : left); }, move.who);
    }
  }
  std::sort(left.begin(), left.end());
  std::sort(came.begin(), came.end());
  return left == came;
}

template <typename Members>
const Shared<Members>& Sets::current(Entry<Members>& entry) {
  const uint64_t now = inventory_.serial();
  if (entry.as_of == now) {
    return entry.members;
  }
  if (!entry.service) {
    inventory_.index().update(entry.whose);
  }
  const bool followed = entry.as_of != 0 && entry.as_of + 1 == now;
  const auto changed = [&] {
    return entry.service ? inventory_.changed(*entry.service)
                         : inventory_.changed(entry.whose.ids);
  };
  entry.as_of = now;
  if (followed && (!changed() || is_same(entry))) {
    return entry.members;
  }
  ++filled_;
  Members members = gather(entry);
  if (members != *entry.members) {
    entry.members = std::move(members);
  }
  return entry.members;
}

void Sets::fill(const Rule& rule, RuleSet& out, SetNames& names) {
  for (const RuleSide* side : {&rule.source, &rule.destination}) {
    for (const auto* ids : {&side->sets, &side->not_sets}) {
      for (const SetId id : *ids) {
        put(out.address_sets, id, current(addresses_.entries[id]));
        put(names.addresses, id, addresses_.entries[id].name);
      }
    }
    for (const auto* ids : {&side->port_sets, &side->not_port_sets}) {
      for (const SetId id : *ids) {
        put(out.port_sets, id, current(ports_.entries[id]));
        put(names.ports, id, ports_.entries[id].name);
      }
    }
  }
}

template <typename Members>
void Sets::keep_only(Kind<Members>& kind, const std::vector<bool>& named) {
  for (SetId id = 0; id < kind.entries.size(); ++id) {
    if (!kind.entries[id].key.empty() && (id >= named.size() || !named[id])) {
      kind.ids.erase(kind.entries[id].key);
      kind.entries[id] = {};
      kind.free.push_back(id);
    }
  }
}

void Sets::keep_only(const std::vector<Shared<RuleList>>& lists) {
  std::vector<bool> addresses(addresses_.entries.size()), ports(ports_.entries.size());
  const auto mark = [](std::vector<bool>& named, const std::vector<SetId>& ids) {
    for (const SetId id : ids) {
      named[id] = true;
    }
  };
  for (const Shared<RuleList>& list : lists) {
    for (const Rule& rule : list->rules) {
      for (const RuleSide* side : {&rule.source, &rule.destination}) {
        mark(addresses, side->sets);
        mark(addresses, side->not_sets);
        mark(ports, side->port_sets);
        mark(ports, side->not_port_sets);
      }
    }
  }
  keep_only(addresses_, addresses);
  keep_only(ports_, ports);
}

}  // namespace sluice::control
