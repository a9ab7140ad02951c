// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as a sluice.yaml and as a file of resources, into the model.  Whatever
// they are, nothing escapes as an exception, every finding has a place in a known file and can
// be printed, what loads has names, and a second reading says the same, also one that knows
// what the file held before.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/load.h"
#include "config/resource_file.h"

namespace {

using namespace sluice::config;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

// Checks each finding; how many are errors.
size_t check_findings(const Loaded& loaded) {
  size_t errors = 0;
  for (const Finding& finding : loaded.findings.all()) {
    check(finding.where.file < loaded.model.files.size());
    check(finding.where.line >= 0 && finding.where.column >= 0);
    check((finding.where.line == 0) == (finding.where.column == 0));
    check(!finding.message.empty());
    errors += finding.severity == Severity::error ? 1 : 0;
  }
  check(loaded.ok() == (errors == 0));
  for (const char c : loaded.findings.format(loaded.model.files)) {
    const auto byte = static_cast<unsigned char>(c);
    check(c == '\n' || (byte >= 0x20 && byte != 0x7f));
  }
  return errors;
}

template <typename Object>
void check_names(const Objects<Object>& objects) {
  for (const Object& object : objects) {
    check(!object.meta.name.empty() && object.meta.name.size() <= 253);
    check(object.meta.where.line > 0);
  }
}

void check_rules(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    check(rule.where.line > 0);
    check(!rule.protocol || rule.protocol->number > 0);
    for (const EntityRule* e : {&rule.source, &rule.destination}) {
      for (const RulePort& port : e->ports) {
        const auto* range = std::get_if<sluice::PortRange>(&port);
        check(range == nullptr || (range->low > 0 && range->low <= range->high));
      }
    }
  }
}

void read_resources(std::string_view text) {
  const Loaded loaded = load_text(text, "fuzz.yaml");
  const size_t errors = check_findings(loaded);
  const Model& m = loaded.model;
  check_names(m.policies);
  check_names(m.kubernetes_policies);
  check_names(m.profiles);
  check_names(m.network_sets);
  check_names(m.workload_endpoints);
  check_names(m.pods);
  check_names(m.namespaces);
  check_names(m.ip_pools);
  check_names(m.nodes);
  check_names(m.blocks);
  for (const Policy& policy : m.policies) {
    check_rules(policy.ingress);
    check_rules(policy.egress);
  }
  const Loaded strict = load_text(text, "fuzz.yaml", {.strict = true});
  check(check_findings(strict) >= errors);
  const Loaded again = load_text(text, "fuzz.yaml");
  check(again.findings.format(again.model.files) == loaded.findings.format(m.files));
}

// A file of which another text is known is read as if none were.
void read_again(std::string_view text) {
  std::string changed(text);
  if (!changed.empty()) {
    changed[changed.size() / 2] = '\n';
  }
  const ResourceFile before(std::string(text), 0, false, nullptr);
  const ResourceFile again(changed, 0, false, &before);
  const ResourceFile anew(changed, 0, false, nullptr);
  check(again.content().findings.format({"f"}) == anew.content().findings.format({"f"}));
  const auto& objects = again.content().objects;
  const auto& expected = anew.content().objects;
  check(std::equal(objects.begin(), objects.end(), expected.begin(), expected.end(),
                   [](const FileContent::Object& a, const FileContent::Object& b) {
                     return a.is(b) && a.where == b.where;
                   }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLongest = 1 << 16;
  if (size > kLongest) {
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_resources(text);
  read_again(text);
  const Loaded settings = load_settings_text(text, "sluice.yaml");
  check_findings(settings);
  if (settings.ok()) {
    check(!settings.model.settings.node.empty());
    check(!settings.model.settings.workers.cores.empty());
    check(!settings.model.settings.uplink.addresses.empty());
  }
  return 0;
}
