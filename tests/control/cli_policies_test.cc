// SPDX-License-Identifier: Apache-2.0
// The verbs test and diff of the built sluicectl, on files; SLUICECTL is its path.
#include <nlohmann/json.hpp>

#include "tests/control/cli_directory.h"

namespace sluice::control {
namespace {

using nlohmann::json;

constexpr const char* kFixtures = R"(
fixtures:
  endpoints: [{name: shop/web, labels: {app: web}, address: 10.1.0.2},
     {name: shop/db, labels: {app: db}, address: 10.1.0.3},
     {name: shop/db6, labels: {app: db}, address: "fd00::4"}]
)";

class CliPolicies : public CliDirectory {
 protected:
  void SetUp() override {
    CliDirectory::SetUp();
    write("p/policy.yaml", kPolicy);
  }
  // Runs one test file with these cases, a line each.
  Outcome test(const std::string& cases, const std::string& more = "") {
    write("p/a.test.yaml", kFixtures + ("cases:\n" + cases));
    return run("test -f p " + more);
  }
};

TEST_F(CliPolicies, TheShippedSamplePasses) {
  const Outcome outcome = run("test -f " SLUICE_SAMPLE);
  EXPECT_EQ(outcome.exit, 0) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out, "10 passed, 0 failed\n");
}

TEST_F(CliPolicies, JudgesEachCase) {
  const struct {
    const char* text;
    bool passes;
  } rows[] = {
      {"{from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: allow}", true},
      {"{from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: allow, by: db}", true},
      {"{from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: allow, by: shop/db}",
       true},
      {"{from: 10.1.0.2, to: 10.1.0.3, proto: tcp, port: 5432, expect: allow}", true},
      {"{from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: deny}", false},
      {"{from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: allow, by: web}", false},
      {"{from: shop/web, to: shop/db, proto: udp, port: 5432, expect: deny, by: db}", true},
      {"{from: shop/web, to: shop/db, proto: udp, port: 1, expect: deny, by: tier default}",
       true},
      {"{from: shop/web, to: shop/db, proto: udp, port: 1, expect: deny, by: tier other}",
       false},
      {"{from: world, to: shop/db, proto: icmp, type: 3, code: 1, expect: deny}", true},
      {"{from: host, to: shop/db, proto: tcp, port: 1, expect: allow}", true},
      {"{from: shop/db, to: host, proto: 47, expect: allow, by: kns.shop}", true},
      {"{from: shop/db, to: shop/web, proto: sctp, port: 9, expect: deny}", false},
      {"{from: world, to: \"fd00::4\", proto: tcp, port: 5432, expect: deny}", true},
      {"{from: host, to: \"fd00::4\", proto: tcp, port: 1, expect: allow}", true},
      {"{from: \"fd00::4\", to: world, proto: 58, expect: allow}", true},
      {"{from: \"fd00::4\", to: host, proto: tcp, port: 1, expect: allow}", true},
  };
  for (const auto& row : rows) {
    const Outcome outcome = test(std::string("  - ") + row.text + "\n");
    EXPECT_EQ(outcome.exit, row.passes ? 0 : 1) << row.text << outcome.out << outcome.err;
    EXPECT_TRUE(
        outcome.out.ends_with(row.passes ? "1 passed, 0 failed\n" : "0 passed, 1 failed\n"))
        << row.text << outcome.out;
  }
}

TEST_F(CliPolicies, AFailureSaysWhatDecidedInsteadAndWhere) {
  const Outcome outcome = test(
      "  - {name: x, from: shop/web, to: shop/db, proto: tcp, port: [80, 5432], expect: "
      "allow}\n");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out,
            "p/a.test.yaml:7:5: x: shop/web -> shop/db tcp/80: expected allow, got deny "
            "(ingress) by the end of tier default: NetworkPolicy shop/db (p/policy.yaml:1:1)\n"
            "1 passed, 1 failed\n");
}

TEST_F(CliPolicies, WritesJsonAndJunit) {
  const std::string cases =
      "  - {from: shop/web, to: shop/db, proto: tcp, port: 80, expect: allow}\n"
      "  - {from: shop/web, to: shop/db, proto: tcp, port: 81, expect: deny}\n";
  const json out = json::parse(test(cases, "-o json --junit r.xml").out);
  EXPECT_EQ(out["passed"], 1);
  EXPECT_EQ(out["failed"], 1);
  EXPECT_EQ(out["cases"][0]["line"], 7);
  EXPECT_EQ(out["cases"][1]["passed"], true);
  const std::string xml = read("r.xml");
  EXPECT_NE(xml.find("tests=\"2\" failures=\"1\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("name=\"shop/web -&gt; shop/db tcp/80\"><failure"), std::string::npos);
}

TEST_F(CliPolicies, RefusesWhatMakesNoSenseAtItsPlace) {
  const struct {
    const char* cases;
    const char* error;  // begins the complaint behind "p/a.test.yaml:7:"
  } rows[] = {
      {"  - {from: shop/wep, to: shop/db, proto: tcp, port: 1, expect: deny}\n",
       "12: error: \"shop/wep\" is no address"},
      {"  - {from: world, to: 10.0.0.1, proto: tcp, port: 1, expect: deny}\n",
       "5: error: neither end"},
      {"  - {from: \"fd00::1\", to: shop/db, proto: tcp, port: 1, expect: deny}\n",
       "5: error: the two ends"},
      {"  - {from: world, to: shop/db, proto: tcp, expect: deny}\n", "5: error: test.cases"},
      {"  - {from: world, to: shop/db, proto: icmp, port: 1, expect: deny}\n", "5: error: "},
      {"  - {from: world, to: shop/db, proto: tcp, port: [], expect: deny}\n",
       "50: error: test.cases[0].port: no port is given"},
      {"  - {from: world, to: shop/db, proto: tcp, port: 1}\n", "5: error: "},
      {"  - {from: world, to: shop/db, proto: tcp, port: 1, expect: yes}\n", ""},
      {"  - {from: world, to: shop/db, proto: tcp, port: 1, expect: deny, buy: x}\n", ""},
      {"  []\n", nullptr},
  };
  for (const auto& row : rows) {
    const Outcome outcome = test(row.cases);
    EXPECT_EQ(outcome.exit, 2) << row.cases << outcome.out;
    const std::string start = row.error == nullptr ? "sluicectl: no cases"
                                                   : std::string("sluicectl: p/a.test.yaml:7:");
    EXPECT_TRUE(outcome.err.starts_with(start + (row.error == nullptr ? "" : row.error)))
        << row.cases << outcome.err;
  }
  EXPECT_EQ(run("test -f p/policy.yaml").exit, 2);
  EXPECT_EQ(run("test -f none").exit, 2);
  EXPECT_EQ(run("test").exit, 2);
  EXPECT_EQ(run("test --help").exit, 0);
}

// Resources that are there already, with the address that a fixture would be given first.
constexpr const char* kShop = R"({apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: shop}
spec: {nodeName: n1}
status: {podIP: 198.18.0.1}
)";

TEST_F(CliPolicies, RefusesFixturesThatAreThereAlready) {
  write("p/shop.yaml", kShop);
  const struct {
    const char* fixtures;
    const char* error;  // behind "p/a.test.yaml:2:"
  } rows[] = {
      {"endpoints: [{name: shop/a, address: 198.18.0.1}]",
       "39: error: test.fixtures.endpoints[0].address: 198.18.0.1 is the address of "
       "shop/old\n"},
      {"endpoints: [{name: shop/a, address: 10.9.9.9}, {name: shop/c, address: 10.9.9.9}]",
       "74: error: test.fixtures.endpoints[1].address: 10.9.9.9 is the address of shop/a\n"},
      {"endpoints: [{name: shop/old}]",
       "15: error: test.fixtures.endpoints[0]: \"shop/old\" is there already\n"},
      {"namespaces: {shop: {team: red}}",
       "16: error: test.fixtures.namespaces.shop: \"shop\" is there already\n"},
  };
  for (const auto& row : rows) {
    write("p/a.test.yaml", std::string("fixtures:\n  ") + row.fixtures + "\ncases: []\n");
    const Outcome outcome = run("test -f p");
    EXPECT_EQ(outcome.exit, 2) << row.fixtures << outcome.out;
    EXPECT_EQ(outcome.err.substr(0, outcome.err.find('\n') + 1),
              std::string("sluicectl: p/a.test.yaml:2:") + row.error)
        << row.fixtures;
  }
}

TEST_F(CliPolicies, GivesFixturesAddressesThatNobodyHas) {
  write("p/shop.yaml", kShop);
  write("p/a.test.yaml", R"(fixtures:
  namespaces: {shop: {}}
  endpoints:
    - {name: shop/web, labels: {app: web}}
    - {name: shop/db, labels: {app: db}, address: 198.18.0.2}
cases:
  - {from: 198.18.0.3, to: shop/db, proto: tcp, port: 5432, expect: allow, by: shop/db}
)");
  const Outcome outcome = run("test -f p");
  EXPECT_EQ(outcome.exit, 0) << outcome.out << outcome.err;
}

TEST_F(CliPolicies, FindsResourcesBesideNamedAndGiven) {
  const std::string cases =
      kFixtures + std::string(
                      "cases:\n  - {from: shop/web, to: shop/db, proto: tcp, port: 80, expect: "
                      "deny}\n");
  write("p/a.test.yaml", cases);
  EXPECT_EQ(run("test -f p/a.test.yaml").exit, 0);  // the directory of the file
  write("t/b.test.yaml", "resources: [../p]" + cases);
  EXPECT_EQ(run("test -f t/b.test.yaml").exit, 0);
  write("u/c.test.yaml", cases);
  EXPECT_EQ(run("test -f u/c.test.yaml -f p/policy.yaml").exit, 0);
  EXPECT_EQ(json::parse(run("test -f u -f p -o json").out)["passed"], 2);
}

// ---- diff ----------------------------------------------------------------------------------

// Pods of two namespaces; four clients alike.
std::string dump() {
  std::string out =
      "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n"
      "{apiVersion: v1, kind: Namespace, metadata: {name: lab}}\n";
  const auto pod = [&](const std::string& ns, const std::string& name, const std::string& app,
                       const std::string& address) {
    out += "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", namespace: " + ns +
           ", labels: {app: " + app + "}}, spec: {nodeName: n1}, status: {podIP: " + address +
           "}}\n";
  };
  pod("shop", "web", "web", "10.1.0.2");
  pod("shop", "db", "db", "10.1.0.3");
  for (const char* n : {"1", "2", "3", "4"}) {
    pod("lab", std::string("c") + n, "c", std::string("10.1.1.") + n);
  }
  return out;
}

// The policy of kPolicy with other rules.
std::string rules(const std::string& text) {
  return std::string(kPolicy).substr(0, std::string(kPolicy).find("  ingress:")) +
         "  ingress: [" + text + "]\n";
}

TEST_F(CliPolicies, DiffSaysWhichFlowsChange) {
  write("dump.yaml", dump());
  write("old.yaml", kPolicy);
  const std::string by = "ingress, NetworkPolicy shop/db rule ";
  const std::string end = "ingress, the end of tier default: NetworkPolicy shop/db)\n";
  const struct {
    const char* why;
    std::string policy;
    std::string out;
  } rows[] = {
      {"the same in other words",
       rules(
           "{action: Allow, protocol: 6, source: {selector: \"app in {'web'}\"}, destination: "
           "{ports: [5432]}}, {action: Deny, protocol: TCP, destination: {ports: [7]}}"),
       "no flow changes\n"},
      {"another port",
       rules("{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: "
             "{ports: [\"5433:5440\"]}}"),
       "shop/web -> shop/db tcp/5432: allow -> deny (by " + end +
           "shop/web -> shop/db tcp/5433-5440: deny -> allow (by " + by + "0)\n"},
      {"all",
       rules("{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: "
             "{ports: [5432]}}, {action: Allow, source: {namespaceSelector: all()}}"),
       "lab/c1, lab/c2, lab/c3 and 1 more -> shop/db everything: deny -> allow (by " + by +
           "1)\n"
           "shop/web -> shop/db icmp tcp/1-5431,5433-65535 udp other protocols: deny -> allow "
           "(by " +
           by + "1)\n"},
      {"a part of the world",
       rules(
           "{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: "
           "{ports: [5432]}}, {action: Allow, protocol: ICMP, icmp: {type: 8}, source: {nets: "
           "[192.0.2.0/24], notNets: [192.0.2.128/25]}}"),
       "192.0.2.0/24 -> shop/db icmp/8: deny -> allow (by " + by + "1)\n"},
  };
  for (const auto& row : rows) {
    write("new.yaml", row.policy);
    const Outcome outcome = run("diff -f old.yaml -f new.yaml --with dump.yaml");
    EXPECT_EQ(outcome.out, row.out) << row.why << outcome.err;
    EXPECT_EQ(outcome.exit, row.out == "no flow changes\n" ? 0 : 1) << row.why;
  }
}

TEST_F(CliPolicies, DiffSpeaksJsonAndNamesEndpointsOfOneSideOnly) {
  write("old/dump.yaml", dump());
  write("old/p.yaml", kPolicy);
  write("new/dump.yaml", dump().substr(0, dump().rfind("---")));
  write("new/p.yaml", rules(""));
  const Outcome outcome = run("diff -f old -f new -o json");
  EXPECT_EQ(outcome.exit, 1) << outcome.err;
  const json out = json::parse(outcome.out);
  EXPECT_EQ(out["same"], false);
  EXPECT_EQ(out["removed"], json({"lab/c4"}));
  EXPECT_EQ(out["added"], json::array());
  ASSERT_EQ(out["changes"].size(), 1u) << outcome.out;
  const json& change = out["changes"][0];
  EXPECT_EQ(change["from"], json({"shop/web"}));
  EXPECT_EQ(change["flow"], "tcp/5432");
  EXPECT_EQ(change["was"], "allow");
  EXPECT_EQ(change["now"], "deny");
  EXPECT_EQ(change["place"], "new/p.yaml:1:1");
  EXPECT_EQ(json::parse(run("diff -f old -f new -n lab -o json").out)["changes"].size(), 0u);
}

// As the daemon lists it.
json connection(const char* src, const char* dst, const char* proto, unsigned dport,
                const char* egress_rule, const char* ingress_rule) {
  return {{"worker", 0},
          {"proto", proto},
          {"src", src},
          {"sport", 40000},
          {"dst", dst},
          {"dport", dport},
          {"state", "established"},
          {"egress_rule", egress_rule},
          {"ingress_rule", ingress_rule}};
}

TEST_F(CliPolicies, DiffCountsTheLiveConnectionsThatWouldBeCut) {
  write("dump.yaml", dump());
  write("old.yaml", kPolicy);
  write("new.yaml", rules("{action: Allow, protocol: TCP, source: {selector: app == 'web'}, "
                          "destination: {ports: [80]}}"));
  const char* by = "default/NetworkPolicy:shop/db#0";
  const char* open = "__PROFILE__/Profile:kns.shop#0";
  json rows = {
      connection("10.1.0.2", "10.1.0.3", "tcp", 5432, open, by),  // the one
      connection("10.1.0.2", "10.1.0.3", "tcp", 80, open, by),
      connection("10.1.0.3", "10.1.0.2", "udp", 5432, open, open),
      connection("10.1.0.3", "10.1.0.2", "icmp", 77, open, open),
      connection("192.0.2.1", "10.1.0.3", "tcp", 5432, "", ""),   // by the node: exempt
      connection("10.1.0.2", "10.1.0.3", "tcp", 5432, open, ""),  // received by another worker
  };
  serve({{"connections", Handler([&](const json&) -> Result<json> { return rows; })},
         {"status", says({{"workers", {{{"connections", 20000}}, {{"connections", 345}}}}})}});
  const std::string diff = "-s sock diff -f old.yaml -f new.yaml --with dump.yaml --live";
  EXPECT_TRUE(run(diff).out.ends_with(
      "1 of 6 live connections would be cut (onPolicyChange: recheck), none with keep\n"))
      << read("out") << read("err");
  const json live = json::parse(run(diff + " -o json").out)["live"];
  EXPECT_EQ(live, json({{"connections", 6}, {"listed", 6}, {"cut", 1}}));
  // A full list is but a part of them.
  while (rows.size() < kMaxListed) {
    rows.push_back(rows[1]);
  }
  EXPECT_TRUE(
      run(diff).out.ends_with("1 of the first 10000 of 20345 live connections would be cut "
                              "(onPolicyChange: recheck), none with keep\n"))
      << read("out") << read("err");
}

TEST_F(CliPolicies, DiffRefusesWhatItCannotCompare) {
  write("dump.yaml", dump());
  write("broken.yaml", "kind: [\n");
  const struct {
    const char* arguments;
    int exit;
  } rows[] = {
      {"diff -f p", 2},
      {"diff", 2},
      {"diff -f p -f p", 2},  // no endpoints
      {"diff -f p -f broken.yaml --with dump.yaml", 2},
      {"diff -f p -f p --with dump.yaml", 0},
      {"diff -f p -f p --with dump.yaml -n shop", 0},
      {"diff -f p -f p --with dump.yaml -n shep", 2},
      {"diff -f p -f p --with dump.yaml --live -s none", 3},
      {"diff --help", 0},
  };
  for (const auto& row : rows) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.exit, row.exit) << row.arguments << outcome.out << outcome.err;
  }
}

}  // namespace
}  // namespace sluice::control
