// SPDX-License-Identifier: Apache-2.0
// What sluiced answers on its control socket: the running state as JSON.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <rte_mempool.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/posture.h"
#include "control/program_list.h"

namespace sluice::control {
namespace {

using nlohmann::json;

static_assert(kMaxCounters <= kNoRule, "a connection's entry holds the rules that allowed it");

std::string connection_state(const Connection& c) {
  if (c.tuple.protocol == proto::kTcp) {
    return std::string(name(c.tcp));
  }
  return c.replied != 0 ? "replied" : "unreplied";
}

std::string rule_text(const RuleNames& names, CounterSlot slot) {
  if (slot == kNoCounter) {
    return "";
  }
  const RuleName& n = names.name(slot);
  return n.tier + "/" + n.kind + ":" + qualified(n.namespace_name, n.policy) + "#" +
         (n.rule < 0 ? "default" : std::to_string(n.rule));
}

// The policies of a program, profiles left out, in order.
std::vector<const ListName*> policies_in(const CompiledPolicy& policy, ProgramId program) {
  std::vector<const ListName*> out;
  if (program == kNoProgram) {
    return out;
  }
  for (const Tier& tier : policy.rules->programs[program].tiers) {
    for (const ListId list : tier.lists) {
      if (!tier.profiles) {
        out.push_back(&*policy.lists[list]);
      }
    }
  }
  return out;
}

// A number of the request; nothing if it is left out.
Result<std::optional<uint64_t>> number_in(const json& request, const char* key) {
  const auto value = request.find(key);
  if (value == request.end() || value->is_null()) {
    return std::optional<uint64_t>();
  }
  if (!value->is_number_unsigned()) {
    return Error{std::string("\"") + key + "\" is not a whole number, 0 or more"};
  }
  return std::optional(value->get<uint64_t>());
}

struct LiveConnection {
  Connection entry;
  PacketFlow flow;
};

// Connections that have not expired, kMaxListed at most.
std::vector<LiveConnection> live(const ConnTable& table, Nanos now) {
  std::vector<LiveConnection> out;
  out.reserve(std::min<size_t>(table.size(), kMaxListed));
  table.for_each([&](ConnId id, const Connection& c) {
    if (out.size() < kMaxListed && c.deadline > now) {
      out.push_back({c, table.flow(id)});
    }
  });
  return out;
}

}  // namespace

Handlers Daemon::handlers() {
  const auto show = [this](json (Daemon::*view)() const) -> Handler {
    return Handler([this, view](const json&) -> Result<json> { return (this->*view)(); });
  };
  return {
      {"status", show(&Daemon::status)},
      {"endpoints", show(&Daemon::endpoints)},
      {"policies", show(&Daemon::policies)},
      {"programs", show(&Daemon::programs)},
      {"routes", show(&Daemon::routes)},
      {"connections", show(&Daemon::connections)},
      {"stats", show(&Daemon::stats)},
      {"drops", Handler([this](const json& request) { return drops(request); })},
      {"unused", Handler([this](const json& request) { return unused(request); })},
      {"reload", Handler(
                     [this](const json&) -> Result<json> {
                       const uint64_t before = built_->generation->number;
                       if (Status s = reload(monotonic_now()); !s) {
                         return s.error();
                       }
                       const uint64_t now = built_->generation->number;
                       return json{{"generation", now},
                                   {"changed", now != before},
                                   {"pending", !published_->settled()}};
                     },
                     Handler::Does::change)},
  };
}

json Daemon::status() const {
  json workers = json::array();
  for (const auto& worker : workers_) {
    json ports = json::array();
    for (const View::Queue& queue : published_->view()->queues) {
      const std::string& port = queue.of->info().name;  // which may have several of them
      if (queue.worker == worker->options().id && (ports.empty() || ports.back() != port)) {
        ports.push_back(port);
      }
    }
    const uint64_t turns = std::max<uint64_t>(worker->turns(), 1);
    workers.push_back({
        {"core", worker->options().core},
        {"idle_mode", worker->options().poll ? "poll" : "adaptive"},
        {"ports", ports},
        {"busy_ratio", static_cast<double>(worker->busy_turns()) / static_cast<double>(turns)},
        {"connections", worker->connections()},
        {"pace", name(watchdog_->pace(workers.size()))},
    });
  }
  const Posture confined = posture();
  return {
      {"version", SLUICE_VERSION},
      {"node", model_.settings.node},
      {"generation", built_->generation->number},
      {"pending", !published_->settled()},
      {"alarms", alarms()},
      {"pid", getpid()},
      {"uptime_s", (monotonic_now() - started_) / kSecond},
      {"workers", workers},
      {"endpoints", built_->policy.endpoints.size()},
      {"policies", built_->policy.policies},
      {"last_reload",
       {{"ok", last_reload_.ok}, {"at", last_reload_.at}, {"error", last_reload_.error}}},
      {"buffers",
       {{"total", buffers_->count()}, {"free", rte_mempool_avail_count(buffers_->pool())}}},
      {"huge_pages", buffers_->huge_pages()},
      {"posture",
       {{"capabilities", confined.capabilities},
        {"no_new_privileges", confined.no_new_privileges},
        {"seccomp", confined.seccomp},
        {"core_dumps", confined.core_dumps}}},
  };
}

// Each should be 0.
json Daemon::alarms() const {
  size_t stalled = 0;
  for (size_t i = 0; i < workers_.size(); ++i) {
    stalled += watchdog_->pace(i) >= Pace::stalled ? 1 : 0;
  }
  return {{"worker_stalled", stalled}, {"log_lines_dropped", log_.dropped()}};
}

json Daemon::endpoints() const {
  const auto policies_of = [&](ProgramId program) {
    json out = json::array();
    for (const ListName* n : policies_in(built_->policy, program)) {
      out.push_back(qualified(n->namespace_name, n->name));
    }
    return out;
  };
  json out = json::array();
  for (const LocalEndpoint& e : built_->policy.endpoints) {
    json addresses = json::array();
    for (const Address& address : e.addresses) {
      addresses.push_back(to_string(address));
    }
    const auto port = registries_.endpoints.port(e.interface_name);
    const View& view = *published_->view();
    const bool open = port && view.ports[*port] != nullptr;
    out.push_back({
        {"namespace", e.namespace_name},
        {"name", e.name},
        {"interface", e.interface_name},
        {"addresses", addresses},
        {"worker", open ? view.owner[*port] : 0},
        {"ingress_policies", policies_of(e.ingress)},
        {"egress_policies", policies_of(e.egress)},
        {"state", open ? (view.ports[*port]->up() ? "up" : "down") : "no interface"},
    });
  }
  return out;
}

json Daemon::policies() const {
  // One row a policy, though it has a list for each direction; counted by endpoint.
  std::map<std::tuple<std::string, std::string, std::string, std::string>,
           std::set<std::string>>
      rows;
  for (const LocalEndpoint& e : built_->policy.endpoints) {
    for (const ProgramId program : {e.ingress, e.egress}) {
      for (const ListName* n : policies_in(built_->policy, program)) {
        rows[{n->tier, n->kind, n->namespace_name, n->name}].insert(e.interface_name);
      }
    }
  }
  std::map<std::pair<std::string, std::string>, double> orders;
  for (const config::Policy& p : model_.policies) {
    if (p.order && p.staging == config::Staging::enforced) {
      orders[{p.meta.namespace_name, p.meta.name}] = *p.order;
    }
  }
  json out = json::array();
  for (const auto& [key, endpoints] : rows) {
    const auto& [tier, kind, ns, name] = key;
    json order = nullptr;
    if (kind == "KubernetesNetworkPolicy") {
      order = 1000;
    } else if (const auto it = orders.find({ns, name}); it != orders.end()) {
      order = it->second;
    }
    out.push_back({{"tier", tier},
                   {"kind", kind},
                   {"namespace", ns},
                   {"name", name},
                   {"order", order},
                   {"endpoints", endpoints.size()}});
  }
  return out;
}

json Daemon::programs() const {
  return programs_json(*built_, model_.settings.policy.memory);
}

json Daemon::routes() const {
  json out = json::array();
  for (const auto& [prefix, r] : built_->routes.routes) {
    std::string via;
    if (r.kind == RouteKind::tunnel || r.kind == RouteKind::gateway) {
      via = to_string(r.next_hop);
    }
    std::string port;
    if (r.kind == RouteKind::endpoint) {
      port = registries_.endpoints.interface_of(built_->generation->endpoints[r.endpoint].port);
    } else if (r.kind == RouteKind::local) {
      port = host_port_->kernel_end().name;
    } else if (r.kind != RouteKind::blackhole) {
      port = ports_->uplink()->info().name;
    }
    out.push_back({{"destination", to_string(prefix)},
                   {"kind", name(r.kind)},
                   {"via", via},
                   {"port", port}});
  }
  return out;
}

json Daemon::connections() const {
  json out = json::array();
  for (const auto& worker : workers_) {
    std::vector<LiveConnection> copies;
    Nanos now = 0;
    worker->call([&](const ConnTable& table) {
      now = monotonic_now();  // in the worker: no entry is younger
      copies = live(table, now);
    });
    for (const auto& [c, flow] : copies) {
      if (out.size() == kMaxListed) {
        break;
      }
      out.push_back({
          {"worker", worker->options().id},
          {"proto", proto::name(c.tuple.protocol)},
          {"src", to_string(flow.source())},
          {"sport", c.tuple.src_port},
          {"dst", to_string(flow.destination())},
          {"dport", c.tuple.dst_port},
          {"state", connection_state(c)},
          {"age_s", age(c.created, now) / kSecond},
          {"expires_s", (c.deadline - now) / kSecond},
          {"packets", c.packets(kOriginal)},
          {"reply_packets", c.packets(kReply)},
          {"bytes", c.bytes(kOriginal)},
          {"reply_bytes", c.bytes(kReply)},
          {"ingress_rule", rule_text(registries_.rules, c.ingress_rule())},
          {"egress_rule", rule_text(registries_.rules, c.egress_rule())},
      });
    }
  }
  return out;
}

void Daemon::collect_drops() {
  for (const auto& worker : workers_) {
    drop_log_.drain(worker->drop_samples(), worker->options().id);
  }
}

Result<json> Daemon::drops(const json& request) {
  const auto after = number_in(request, "after");
  if (!after) {
    return after.error();
  }
  collect_drops();
  std::map<PortId, std::string> open;
  for (const PortName& port : ports_->names()) {
    open[port.id] = port.name;
  }
  const DropLog::Words words{
      registries_.rules,
      [&](PortId id) {
        const auto known = open.find(id);
        return known != open.end() ? known->second : registries_.endpoints.interface_of(id);
      },
      monotonic_now(), std::chrono::system_clock::now()};
  return drop_log_.after(after->value_or(drop_log_.last()), words);
}

void Daemon::look_at_rules() {
  rule_use_.look(counters(), static_cast<CounterSlot>(registries_.rules.size()),
                 monotonic_now());
}

void Daemon::look_at_takers() {
  if (!built_->generation->matcher->settled()) {
    return;
  }
  std::vector<Worker::Taken> taken;
  for (const auto& worker : workers_) {
    taken.push_back(worker->taken());
  }
  reload_times_.look(taken);
}

Result<json> Daemon::unused(const json& request) {
  const auto age = number_in(request, "age_s");
  if (!age) {
    return age.error();
  }
  look_at_rules();
  const Now now{monotonic_now(), std::time(nullptr)};
  const Nanos longest = now.monotonic / kSecond;
  const Nanos before = *age ? now.monotonic - std::min(**age, longest) * kSecond : 0;
  return unused_json(rule_use_, built_->policy, model_.files, before, now);
}

json Daemon::stats() const {
  const std::vector<const Counters*> all = counters();
  const std::vector<PortName> names = ports_->names();
  uint64_t opened = 0;
  uint64_t suppressed = 0;
  for (const Counters* c : all) {
    opened += c->connections_opened.get();
    suppressed += c->icmp_suppressed.get();
  }
  return {
      {"connections_opened", opened},         {"icmp_suppressed", suppressed},
      {"ports", ports_json(all, names)},      {"drops", drops_json(all, names)},
      {"inner_drops", inner_drops_json(all)}, {"rules", rules_json(all, registries_.rules)},
      {"reloads", reload_times_.as_json()},   {"alarms", alarms()},
  };
}

}  // namespace sluice::control
