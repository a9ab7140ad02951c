// SPDX-License-Identifier: Apache-2.0
#include "control/program_list.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace sluice::control {
namespace {

using nlohmann::json;

struct Served {
  ProgramId rules = kNoProgram;
  std::set<std::string> endpoints, directions;
};

class Listing {
 public:
  explicit Listing(const Matcher& matcher) : matcher_(matcher) {}

  void add(InstanceId id, const std::string& endpoint, const char* direction) {
    if (id == kNoInstance) {
      return;
    }
    Served& served = programs_[&matcher_.program(id)];
    served.rules = matcher_.pin(id).program;
    served.endpoints.insert(endpoint);
    served.directions.insert(direction);
  }

  void add(const ProtectedInterface& place) {
    for (const auto& [name, ingress, member] : kHostStages) {
      const HostStage& stage = place.policy.*member;
      const char* direction = ingress ? "ingress" : "egress";
      add(stage.judge, place.name + " (" + name + ")", direction);
      add(stage.failsafe_judge, place.name + " (failsafe)", direction);
    }
  }

  json rows() const {
    json out = json::array();
    for (const auto& [program, served] : programs_) {
      out.push_back(row(*program, served));
    }
    const auto key = [](const json& r) {
      return std::pair(-r["bytes"].get<int64_t>(), r["endpoints"].dump());
    };
    std::sort(out.begin(), out.end(),
              [&](const json& a, const json& b) { return key(a) < key(b); });
    return out;
  }

 private:
  json row(const CompiledProgram& program, const Served& served) const {
    size_t rules = 0;
    for (const Tier& tier : matcher_.rules().programs[served.rules].tiers) {
      for (const ListId list : tier.lists) {
        rules += matcher_.rules().lists[list]->rules.size();
      }
    }
    json classes = nullptr;
    json columns = nullptr;
    if (program.table != nullptr) {
      classes = size_t{program.table->sources} * program.table->destinations;
      columns = program.table->columns;
    } else if (const Vectors* v = program.vectors.get(); program.form == Form::vectors) {
      classes = v->rows(v->sources) * v->rows(v->destinations);
      columns = v->rows(v->columns);
    }
    return {{"endpoints", served.endpoints},
            {"direction", served.directions.size() == 1 ? *served.directions.begin() : "both"},
            {"form", name(program.form)},
            {"rules", rules},
            {"classes", classes},
            {"columns", columns},
            {"cells", program.cells},
            {"bytes", program.size_bytes()}};
  }

  const Matcher& matcher_;
  std::map<const CompiledProgram*, Served> programs_;
};

}  // namespace

json programs_json(const Built& built, size_t cap) {
  const Generation& g = *built.generation;
  Listing listing(*g.matcher);
  for (size_t i = 0; i < built.policy.endpoints.size(); ++i) {
    const LocalEndpoint& local = built.policy.endpoints[i];
    const std::string name = qualified(local.namespace_name, local.name);
    const Endpoint& endpoint = g.endpoints[built.endpoint_ids[i]];
    for (const size_t family : {size_t{0}, size_t{1}}) {
      listing.add(endpoint.judge_in[family], name, "ingress");
      listing.add(endpoint.judge_out[family], name, "egress");
    }
  }
  // As compiled: the policy's own copies know no instances.
  listing.add({built.policy.uplink.name, "", g.uplink});
  listing.add({built.policy.tunnel.name, "", g.tunnel});
  listing.add({built.policy.pods.name, "", g.pods});
  const Matcher::Memory memory = g.matcher->memory();
  return {{"programs", listing.rows()},
          {"memory",
           {{"classes", memory.classes},
            {"programs", memory.programs},
            {"total", memory.total()},
            {"cap", cap}}}};
}

}  // namespace sluice::control
