// SPDX-License-Identifier: Apache-2.0
#include "control/program_list.h"

#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

using nlohmann::json;

constexpr size_t kCap = size_t{1} << 30;

json row_of(const json& answer, const std::string& endpoint, const std::string& direction) {
  for (const json& row : answer["programs"]) {
    const json& endpoints = row["endpoints"];
    if (row["direction"] == direction &&
        std::find(endpoints.begin(), endpoints.end(), endpoint) != endpoints.end()) {
      return row;
    }
  }
  return nullptr;
}

TEST(ProgramList, NamesAllWhomAProgramServes) {
  const World world(
      np("a",
         "{selector: app == 'web', types: [Ingress], ingress: [{action: Allow, protocol: "
         "TCP, source: {selector: app == 'db'}, destination: {ports: [80]}}, "
         "{action: Deny}]}"));
  const json answer = programs_json(world.built(), kCap);
  const json web = row_of(answer, "ns1/p", "ingress");
  ASSERT_FALSE(web.is_null()) << answer.dump(2);
  EXPECT_EQ(web["rules"], 3) << "two of the policy, and its profile's";
  EXPECT_EQ(web["form"], "table");
  EXPECT_EQ(web["classes"], 2) << "app == 'db' or not";
  EXPECT_EQ(web["columns"], 2) << "TCP/80 or not";
  EXPECT_GE(web["cells"], 4);
  EXPECT_GT(web["bytes"], 0);
  for (const char* name : {"ns1/p", "ns1/q", "ns2/r"}) {
    for (const char* direction : {"ingress", "egress"}) {
      const json row = row_of(answer, name, direction);
      const json both = row_of(answer, name, "both");
      EXPECT_FALSE(row.is_null() && both.is_null()) << name << direction << answer.dump(2);
    }
  }
}

TEST(ProgramList, ListsTheLargestFirstAndWhatAllTakeTogether) {
  const World world(
      np("a",
         "{selector: app == 'web', ingress: [{action: Allow, source: {nets: [1.0.0.0/8, "
         "2.0.0.0/9]}, protocol: UDP, destination: {ports: [1, 3, 5, 7]}}]}"));
  const json answer = programs_json(world.built(), kCap);
  size_t sum = 0;
  size_t last = SIZE_MAX;
  for (const json& row : answer["programs"]) {
    EXPECT_LE(row["bytes"], last);
    last = row["bytes"];
    sum += last;
  }
  EXPECT_EQ(answer["programs"].size(), world.built().generation->matcher->program_count());
  const json& memory = answer["memory"];
  EXPECT_EQ(memory["cap"], kCap);
  EXPECT_EQ(memory["total"],
            memory["classes"].get<size_t>() + memory["programs"].get<size_t>());
  EXPECT_LE(memory["programs"], sum) << "what is shared counts once";
  EXPECT_GT(memory["programs"], 0);
}

TEST(ProgramList, CountsWhatBitVectorsTellApart) {
  constexpr int kRules = 600;  // whose combinations are more than a table may have cells
  std::string rules;
  for (int i = 0; i < kRules; ++i) {
    rules += (i == 0 ? "" : ", ") +
             std::string("{action: Allow, protocol: TCP, source: {nets: [") + "20.0." +
             std::to_string(i / 250) + "." + std::to_string(i % 250) +
             "/32]}, destination: {ports: [" + std::to_string(1000 + 2 * i) + "]}}";
  }
  const World world(
      np("a", "{selector: app == 'db', types: [Ingress], ingress: [" + rules + "]}"));
  const json row = row_of(programs_json(world.built(), kCap), "ns1/q", "ingress");
  EXPECT_EQ(row["form"], "vectors");
  EXPECT_EQ(row["rules"], kRules + 1);
  EXPECT_EQ(row["classes"], kRules + 1);
  EXPECT_EQ(row["columns"], kRules + 1);
  EXPECT_EQ(row["cells"], (kRules + 1) * (kRules + 1));
}

TEST(ProgramList, NamesTheStageOfAHostEndpoint) {
  const World world(
      "\n---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: up, "
      "labels: {host: up}}, spec: {node: n1, interfaceName: eth0}}\n" +
      gnp("pre",
          "{selector: has(host), preDNAT: true, applyOnForward: true, types: [Ingress], "
          "ingress: [{action: Deny, protocol: TCP}]}"));
  const json answer = programs_json(world.built(), kCap);
  const json pre = row_of(answer, "up (preDNAT)", "ingress");
  ASSERT_FALSE(pre.is_null()) << answer.dump(2);
  EXPECT_EQ(pre["rules"], 1);
}

}  // namespace
}  // namespace sluice::control::testing
