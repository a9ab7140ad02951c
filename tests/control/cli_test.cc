// SPDX-License-Identifier: Apache-2.0
// Runs the built sluicectl, as users do; SLUICECTL is its path.
#include "tests/control/cli_directory.h"

namespace sluice::control {
namespace {

using nlohmann::json;

constexpr const char* kEndpoints = R"(
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-k8s-web-eth0, namespace: shop, labels: {app: web}}
spec:
  node: n1
  orchestrator: k8s
  pod: web
  endpoint: eth0
  interfaceName: caliweb
  ipNetworks: [10.1.0.2/32]
  profiles: [open]
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-k8s-db-eth0, namespace: shop, labels: {app: db}}
spec:
  node: n1
  orchestrator: k8s
  pod: db
  endpoint: eth0
  interfaceName: calidb
  ipNetworks: [10.1.0.3/32]
  profiles: [open]
---
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: open}
spec:
  egress: [{action: Allow}]
  ingress: [{action: Allow}]
)";

constexpr const char* kSettings = R"(
node: n1
resources: [policy.d]
uplink:
  interface: eth0
  addresses: [192.168.1.1/24]
  gateway: 192.168.1.254
)";

class CliTest : public CliDirectory {
 protected:
  void SetUp() override {
    CliDirectory::SetUp();
    write("policy.d/policy.yaml", kPolicy);
    write("policy.d/endpoints.yaml", kEndpoints);
    write("sluice.yaml", kSettings);
  }

  // A daemon with little to say, on the socket "sock".
  void start_daemon() {
    const json endpoints = {{{"namespace", "shop"},
                             {"name", "web"},
                             {"interface", "caliweb"},
                             {"addresses", {"10.1.0.2"}},
                             {"worker", 0},
                             {"ingress_policies", json::array()},
                             {"egress_policies", {"shop/db"}},
                             {"state", "up"}},
                            {{"namespace", "shop"},
                             {"name", "db"},
                             {"interface", "calidb"},
                             {"addresses", {"10.1.0.3"}},
                             {"worker", 0},
                             {"ingress_policies", json::array()},
                             {"egress_policies", json::array()},
                             {"state", "up"}}};
    const json programs = {
        {"programs",
         {{{"endpoints", {"shop/a", "shop/b", "shop/c"}},
           {"direction", "ingress"},
           {"form", "table"},
           {"rules", 7},
           {"classes", 3},
           {"columns", 2},
           {"cells", 12},
           {"bytes", 345}},
          {{"endpoints", {"shop/a"}}, {"direction", "egress"}, {"form", "vectors"}}}},
        {"memory",
         {{"classes", 64 << 20}, {"programs", 1 << 20}, {"total", 65 << 20}, {"cap", 1 << 30}}},
    };
    const json stats = {{"ports", {{"uplink", {{"rx_packets", 5}}}}},
                        {"drops", {{"ip4_ttl", 2}, {"policy_deny_ingress", 30}}},
                        {"inner_drops", {{"policy_deny_ingress", 12}}},
                        {"rules",
                         {{{"kind", "NetworkPolicy"},
                           {"namespace", "shop"},
                           {"policy", "db"},
                           {"tier", "default"},
                           {"direction", "ingress"},
                           {"rule", 0},
                           {"action", "allow"},
                           {"connections", 3},
                           {"packets", 9},
                           {"bytes", 180}},
                          {{"kind", "NetworkPolicy"},
                           {"namespace", "shop"},
                           {"policy", "db"},
                           {"tier", "default"},
                           {"direction", "ingress"},
                           {"rule", -1},
                           {"action", "deny"},
                           {"connections", 30},
                           {"packets", 30},
                           {"bytes", 1200}}}}};
    const auto histogram = [](int low, int high, double p50, double p99) {
      return json{{"count", low + high},
                  {"p50_s", p50},
                  {"p99_s", p99},
                  {"buckets",
                   {{{"up_to_s", 0.001}, {"count", 0}},
                    {{"up_to_s", 0.002}, {"count", low}},
                    {{"up_to_s", nullptr}, {"count", high}}}}};
    };
    json all_stats = stats;
    all_stats["reloads"] = {{"first_worker", histogram(1, 0, 0.0015, 0.0019)},
                            {"every_worker", histogram(0, 1, 100, 100)}};
    serve({
        {"status", says({{"version", "9.9"}, {"node", "n1"}, {"workers", {{{"core", 1}}}}})},
        {"endpoints", says(endpoints)},
        {"programs", says(programs)},
        {"unused", Handler([](const json& request) -> Result<json> {
           json rows = json::array();
           const uint64_t age = request.value("age_s", uint64_t{0});
           if (age <= 7 * 86400) {
             rows.push_back({{"policy", "db"},
                             {"file", "db.yaml"},
                             {"line", 7},
                             {"last_used", 1'700'000'000},
                             {"counted_since", 4'000'000'000}});
           }
           return json{{"resolution_s", 10}, {"rules", rows}};
         })},
        {"stats", says(all_stats)},
        {"reload", Handler([](const json&) -> Result<json> {
           return Error{"policy.d/a.yaml:3:4: error: bad\n  hint: mend it", ""};
         })},
    });
  }
};

TEST_F(CliTest, EndsWithTheExitCodeThatItsHelpStates) {
  write("broken.yaml", "kind: [\n");
  write("selector.yaml",
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
        "metadata: {name: a}\nspec:\n  selector: app ==\n");
  write("unknown.yaml",
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
        "metadata: {name: a}\nspec: {selector: all(), colour: red}\n");
  const struct {
    const char* arguments;
    int exit;
  } rows[] = {
      {"", 2},
      {"--help", 0},
      {"check --help", 0},
      {"explain --help", 0},
      {"get --help", 0},
      {"dance", 2},
      {"status --loud", 2},
      {"-o xml status", 2},

      {"selector 'app == \"web\"' --labels app=web", 0},
      {"selector 'app == \"web\"' --labels app=db,env=prod", 1},
      {"selector 'app =='", 2},
      {"selector 'all()' --labels web", 2},
      {"selector", 2},

      {"check -f policy.d", 0},
      {"check -f - < policy.d/policy.yaml", 0},
      {"check --config sluice.yaml", 0},
      {"check --config sluice.yaml --strict", 0},
      {"check -f broken.yaml", 2},
      {"check -f selector.yaml", 2},
      {"check -f missing.yaml", 2},
      {"check -f unknown.yaml", 0},
      {"check -f unknown.yaml --strict", 2},
      {"check", 2},
      {"check -f policy.d --config sluice.yaml", 2},

      {"explain --config sluice.yaml shop/web shop/db tcp/5432", 0},
      {"explain --config sluice.yaml shop/web shop/db tcp/80", 1},
      {"explain --config sluice.yaml shop/nobody shop/db tcp/80", 2},
      {"explain --config sluice.yaml shop/web shop/db", 2},
      {"explain --config sluice.yaml", 2},
      {"explain --config missing.yaml shop/web shop/db tcp/80", 2},
      {"explain --config sluice.yaml --packets missing", 2},

      {"status -s ./none", 3},
      {"-s ./none get endpoints", 3},
      {"report unused -s ./none", 3},
      {"report unused --since 7 -s ./none", 2},
      {"report unused --since 7x -s ./none", 2},
      {"report unused --since 2024-02-29T25:00:00Z -s ./none", 2},
      {"report unused --since 9999-01-01 -s ./none", 2},
      {"report shadowed -f policy.d", 0},
      {"report shadowed --config sluice.yaml -o json", 0},
      {"report shadowed -f broken.yaml", 2},
      {"report shadowed --config missing.yaml", 2},
      {"report shadowed", 2},
      {"report", 2},
      {"report --help", 0},
      {"report unused --help", 0},
      {"reload -s ./none", 3},
      {"version -s ./none", 0},
  };
  for (const auto& row : rows) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.exit, row.exit) << row.arguments << "\n" << outcome.out << outcome.err;
    if (row.exit >= 2) {
      EXPECT_TRUE(outcome.err.starts_with("sluicectl: ")) << row.arguments << outcome.err;
    }
  }
}

TEST_F(CliTest, PlacesErrorsAtFileLineAndColumn) {
  write("selector.yaml",
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
        "metadata: {name: a}\nspec:\n  selector: app ==\n");
  const Outcome outcome = run("check -f selector.yaml");
  EXPECT_TRUE(outcome.err.starts_with("sluicectl: selector.yaml:5:")) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST_F(CliTest, CountsPoliciesOfEveryKind) {
  write("policy.d/cluster.yaml",
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
        "metadata: {name: c}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {}}, "
        "ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n");
  const Outcome outcome = run("check --config sluice.yaml");
  EXPECT_EQ(outcome.out, "fine: 4 files, 2 policies, 2 local endpoints\n") << outcome.err;
}

TEST_F(CliTest, WarnsOfAllThatSurprisesAtOnce) {
  write("policy.d/odd.yaml",
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n"
        "metadata: {name: odd, namespace: shop}\nspec:\n  tier: defaut\n"
        "  selector: ap == 'web'\n  ingress: [{action: Deny}, {action: Allow}]\n");
  const std::string said =
      "sluicectl: policy.d/odd.yaml:1:1: warning: tier \"defaut\" does not exist: the policy "
      "is enforced after all others, and denies what it does not allow\n"
      "  hint: did you mean \"default\"?\n"
      "sluicectl: policy.d/odd.yaml:6:13: warning: NetworkPolicy \"shop/odd\" selects no "
      "endpoint that these files know\n"
      "  hint: no endpoint or network set has the label \"ap\"; did you mean \"app\"?\n"
      "sluicectl: policy.d/odd.yaml:7:29: warning: this rule can never match: the one in line "
      "7 before it takes all of it\n"
      "  hint: move it up, or remove it\n";
  const Outcome lenient = run("check -f policy.d");
  EXPECT_EQ(lenient.exit, 0);
  EXPECT_EQ(lenient.err, said);
  const Outcome strict = run("check -f policy.d --strict");
  EXPECT_EQ(strict.exit, 1);
  EXPECT_EQ(strict.err, said);
  EXPECT_EQ(json::parse(run("check -f policy.d -o json").out)["findings"].size(), 3u);
}

TEST_F(CliTest, ReportsShadowedRulesWithThePlacesOfBoth) {
  write("policy.d/late.yaml",
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n"
        "metadata: {name: late, namespace: shop}\nspec:\n  order: 2\n"
        "  selector: app == 'db'\n  ingress:\n"
        "  - {action: Deny, protocol: UDP}\n"
        "  - {action: Allow, protocol: UDP, destination: {ports: [53]}}\n"
        "  - {action: Allow, source: {selector: app == 'nobody'}}\n");
  const Outcome table = run("report shadowed -f policy.d");
  EXPECT_EQ(table.exit, 1) << table.err;
  EXPECT_NE(table.out.find("policy.d/late.yaml:9  yes     default/NetworkPolicy:shop/late#0 "
                           "(policy.d/late.yaml:8)\n\n1 rules match nothing now"),
            std::string::npos)
      << table.out;
  const Outcome of_node = run("report shadowed --config sluice.yaml -o json");
  EXPECT_EQ(of_node.exit, 1) << of_node.err;
  const json answer = json::parse(of_node.out);
  ASSERT_EQ(answer["shadowed"].size(), 1u);
  EXPECT_EQ(answer["shadowed"][0]["line"], 9);
  EXPECT_EQ(answer["shadowed"][0]["hidden_by"]["line"], 8);
  EXPECT_EQ(answer["shadowed"][0]["whatever_members"], true);
  EXPECT_EQ(answer["idle"][0]["line"], 10);
}

TEST_F(CliTest, ReportsShadowedRulesOfHostEndpointsWhereNoPodIs) {
  write("host.yaml",
        "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\n"
        "metadata: {name: u, labels: {role: edge}}\nspec: {node: n1, interfaceName: eth0}\n"
        "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
        "metadata: {name: h}\nspec:\n  selector: role == 'edge'\n  ingress:\n"
        "  - {action: Deny, protocol: TCP, destination: {ports: [22]}}\n");
  const Outcome table = run("report shadowed -f host.yaml");
  EXPECT_EQ(table.exit, 1) << table.err;
  EXPECT_NE(table.out.find("host.yaml:12  no      failsafe ports"), std::string::npos)
      << table.out;
  const json answer = json::parse(run("report shadowed -f host.yaml -o json").out);
  EXPECT_EQ(answer["shadowed"][0]["hidden_by"], (json{{"tier", "__FAILSAFE__"}, {"rule", -1}}));
}

TEST_F(CliTest, CheckFindsWithoutSettingsWhatTheDaemonRefuses) {
  const std::string pod =
      "---\napiVersion: v1\nkind: Pod\nmetadata: {name: NAME, namespace: shop}\n"
      "spec: {nodeName: NODE}\nstatus: {phase: Running, podIP: 10.1.9.9}\n";
  const auto named = [&pod](const char* name, const char* node) {
    std::string out = pod;
    out.replace(out.find("NAME"), 4, name);
    return out.replace(out.find("NODE"), 4, node);
  };
  write("policy.d/pods.yaml", named("a", "n1") + named("b", "n2"));
  EXPECT_EQ(run("check -f policy.d").exit, 0) << "of two nodes, one may be outdated";
  write("policy.d/pods.yaml", named("a", "n1") + named("b", "n1"));
  const Outcome outcome = run("check -f policy.d");
  EXPECT_EQ(outcome.exit, 2);
  EXPECT_NE(outcome.err.find("pods.yaml:8:1: error: address 10.1.9.9"), std::string::npos)
      << outcome.err;
  constexpr const char* kProfile = "profile \"kns.shop\" does not exist";
  const size_t first = outcome.err.find(kProfile);
  EXPECT_NE(first, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find(kProfile, first + 1), std::string::npos) << "said once";
  EXPECT_NE(outcome.err.find("add the Namespace \"shop\""), std::string::npos);
}

TEST_F(CliTest, ExplainsPacketsOneLineEachInOrder) {
  write("packets",
        R"({"src":"10.1.0.2","dst":"10.1.0.3","proto":"tcp","sport":1000,"dport":5432})"
        "\n"
        R"({"src":"10.1.0.2","dst":"10.1.0.3","proto":"tcp","sport":1000,"dport":80})"
        "\n");
  const Outcome outcome = run("explain --config sluice.yaml --packets packets -o json");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  const char* verdicts[] = {"allow", "deny"};
  for (const char* verdict : verdicts) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(json::parse(line)["verdict"], verdict) << line;
  }
}

TEST_F(CliTest, ExplainsTheLinesAfterABadOneAndEndsWithTwo) {
  write("packets",
        "nonsense\n"
        R"({"src":"10.1.0.2","dst":"10.1.0.3","proto":"tcp","dport":5432})"
        "\n");
  const Outcome outcome = run("explain --config sluice.yaml --packets - -o json < packets");
  EXPECT_EQ(outcome.exit, 2);
  const size_t end = outcome.out.find('\n');
  EXPECT_TRUE(json::parse(outcome.out.substr(0, end)).contains("error")) << outcome.out;
  EXPECT_EQ(json::parse(outcome.out.substr(end + 1))["verdict"], "allow");
}

TEST_F(CliTest, ExplainsADefaultDenyByThePoliciesThatSelectedTheEndpoint) {
  const Outcome outcome = run("explain --config sluice.yaml shop/web shop/db tcp/80");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out,
            "deny: 10.1.0.2 (shop/web) -> 10.1.0.3 (shop/db) tcp/80, policy_deny_ingress\n"
            "  egress of shop/web\n"
            "    profiles\n"
            "      Profile open: rule 0 allow  (policy.d/endpoints.yaml:30:12)\n"
            "  ingress of shop/db\n"
            "    tier default\n"
            "      NetworkPolicy shop/db: no rule matches: 0 differs in destination port  "
            "(policy.d/policy.yaml:1:1)\n"
            "      end of tier: deny, selected and not allowed by NetworkPolicy shop/db\n");
}

TEST_F(CliTest, ShowsWhatTheDaemonAnswers) {
  start_daemon();
  const struct {
    const char* arguments;
    int exit;
    const char* out;  // is part of the output
  } rows[] = {
      {"-s sock status", 0, "n1"},
      {"-s sock status -o json", 0, "\"version\":\"9.9\""},
      {"version -s sock", 0, "sluiced 9.9"},
      {"get endpoints -s sock", 0, "NAMESPACE  NAME  INTERFACE"},
      {"get endpoints web -s sock", 0, "10.1.0.2"},
      {"get endpoints shop/db -s sock", 0, "calidb"},
      {"get endpoints caliweb -s sock -o json", 0, "\"caliweb\""},
      {"get endpoints 10.1.0.3 -s sock", 0, "db"},
      {"get endpoints nobody -s sock", 1, ""},
      {"get programs -s sock", 0,
       "ingress    table        7        3        2     12    345  shop/a and 2 more\n"
       "egress     vectors      -        -        -      -      -  shop/a\n\n"
       "in all 65.0 MiB: addresses 64.0 MiB, programs 1.0 MiB; policy.memory 1024.0 MiB\n"},
      {"get programs -o wide -s sock", 0, "345  shop/a,shop/b,shop/c\n"},
      {"get programs shop/c -s sock -o json", 0,
       R"("programs":[{"bytes":345,"cells":12,"classes":3)"},
      {"get programs vectors -s sock", 0, "egress     vectors"},
      {"get programs shop/d -s sock", 1, ""},
      {"report unused -s sock", 1, "db.yaml:7  2023-11-14T22:13:20Z"},
      {"report unused --since 6d23h60m -s sock", 1,
       "\n1 of these are counted only since a later time than --since\n"},
      {"report unused --since 1w1s -s sock", 0, "every rule was used\n"},
      {"report unused --since 2024-02-29 -s sock", 0, "every rule was used\n"},
      {"report unused --since 2024-02-29T10:00:00Z -o json -s sock", 0,
       R"({"resolution_s":10,"rules":[]})"},
      {"get colours -s sock", 2, ""},
      {"get policies -s sock", 2, ""},  // this daemon does not know the verb
      {"stats -s sock", 0, "RX_PACKETS"},
      {"stats drops -s sock -o json", 0, "\"ip4_ttl\":2"},
      {"stats reloads -s sock", 0,
       "SECONDS   FIRST_WORKER  EVERY_WORKER\n"
       "<= 0.002             1             0\n"
       "more                 0             1\n"
       "count                1             1\n"
       "p50             0.0015           100\n"
       "p99             0.0019           100\n"},
      {"stats colours -s sock", 2, ""},
      {"reload -s sock", 4, ""},
  };
  for (const auto& row : rows) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.exit, row.exit) << row.arguments << "\n" << outcome.out << outcome.err;
    EXPECT_NE(outcome.out.find(row.out), std::string::npos) << row.arguments << "\n"
                                                            << outcome.out;
  }
}

TEST_F(CliTest, ListsPoliciesAsChainsWithTheDaemonsCounters) {
  start_daemon();
  const std::string chain = "chains cali-pi-np/shop/db --config sluice.yaml -o json";
  const json offline = json::parse(run(chain).out)[0];
  EXPECT_EQ(offline["references"], 1);
  ASSERT_EQ(offline["rules"].size(), 1u);  // the RETURN at the end is left out
  const json& rule = offline["rules"][0];
  EXPECT_EQ(rule["target"], "MARK");
  EXPECT_EQ(rule["argument"], "--set-mark 0x10000/0x10000");
  EXPECT_EQ(rule["key"], "API0|np/shop/db");
  EXPECT_EQ(rule["comments"], json({"NetworkPolicy shop/db ingress"}));
  EXPECT_EQ(rule["packets"], 0);
  const json live = json::parse(run(chain + " --live -s sock").out)[0]["rules"][0];
  EXPECT_EQ(live["packets"], 3);
  EXPECT_EQ(live["bytes"], 180);
  const json to = json::parse(run("chains cali-tw-calidb --config sluice.yaml --live -s sock "
                                  "-o json")
                                  .out)[0]["rules"];
  EXPECT_EQ(to[6]["key"], "DPI|default");
  EXPECT_EQ(to[6]["packets"], 30);
  EXPECT_EQ(run("chains nobody --config sluice.yaml").exit, 1);
  EXPECT_EQ(run("chains --config missing.yaml").exit, 2);
  EXPECT_EQ(run("chains --config sluice.yaml --live -s none").exit, 3);
  EXPECT_EQ(run("chains --help").exit, 0);
}

// The columns and words of iptables -xvnL.
TEST_F(CliTest, ChainsLookAsOperatorsKnowThem) {
  write("policy.d/policy.yaml",
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n"
        "metadata: {name: db, namespace: shop}\n"
        "spec: {selector: app == 'db', ingress: [{action: Log}, {action: Deny, protocol: ICMP, "
        "icmp: {type: 8, code: 0}, source: {notNets: [10.0.0.0/8]}}, {action: Allow, protocol: "
        "TCP, source: {nets: [10.0.0.0/8]}, destination: {notPorts: [80, \"90:95\"]}}]}\n");
  const std::string head =
      "    pkts      bytes target     prot opt in     out     source               "
      "destination\n";
  // Without hashes, which chains_test looks at.
  const auto listed = [&](const std::string& name) {
    std::string out = run("chains " + name + " --config sluice.yaml").out;
    for (size_t at = 0; (at = out.find("cali:", at)) != std::string::npos;) {
      out.erase(at += 5, 16);
    }
    return out;
  };
  EXPECT_EQ(
      listed("cali-pi-np/shop/db"),
      "Chain cali-pi-np/shop/db (1 references)\n" + head +
          "       0          0 LOG        all  --  *      *       0.0.0.0/0            "
          "0.0.0.0/0            /* cali: */ /* NetworkPolicy shop/db ingress */ LOG flags 0 "
          "level 5 prefix \"calico-packet: \"\n"
          "       0          0 MARK       icmp --  *      *       !10.0.0.0/8          "
          "0.0.0.0/0            /* cali: */ icmptype 8 code 0 MARK or 0x40000\n"
          "       0          0 DROP       all  --  *      *       0.0.0.0/0            "
          "0.0.0.0/0            /* cali: */ mark match 0x40000/0x40000\n"
          "       0          0 MARK       tcp  --  *      *       10.0.0.0/8           "
          "0.0.0.0/0            /* cali: */ multiport dports !80,90:95 MARK or 0x10000\n");
  const std::string forward = listed("cali-FORWARD");
  for (const char* line :
       {"MARK       all  --  *      *       0.0.0.0/0            0.0.0.0/0            "
        "/* cali: */ MARK and 0xffe5ffff\n",
        "cali-from-hep-forward all  --  *      *       0.0.0.0/0            0.0.0.0/0         "
        "   /* cali: */ mark match 0x0/0x10000\n",
        "cali-from-wl-dispatch all  --  cali+  *       0.0.0.0/0 "}) {
    EXPECT_NE(forward.find(line), std::string::npos) << line << forward;
  }
  EXPECT_NE(listed("cali-from-wl-dispatch").find("/* cali: */ [goto]\n"), std::string::npos);
}

TEST_F(CliTest, ListsTheMostFrequentDropFirst) {
  start_daemon();
  EXPECT_EQ(run("-s sock stats drops").out,
            "REASON               PACKETS  INNER\n"
            "policy_deny_ingress       30     12\n"
            "ip4_ttl                    2      0\n");
  EXPECT_EQ(run("-s sock drops").out, run("-s sock stats drops").out);
}

// What a daemon says to `drops`: nothing yet, two drops, then no more.
Handlers two_drops() {
  const json tcp = {{"proto", "tcp"}, {"src", "10.1.0.2"}, {"dst", "10.1.0.3"},
                    {"sport", 1000},  {"dport", 80},       {"flags", "SYN"}};
  const json denied = {
      {"time", "2026-01-02T03:04:05.678Z"},
      {"reason", "policy_deny_ingress"},
      {"port", "caliweb"},
      {"layer", "outer"},
      {"before", 7},
      {"length", 74},
      {"tier", "default"},
      {"policy", {{"kind", "NetworkPolicy"}, {"namespace", "shop"}, {"name", "db"}}},
      {"rule", -1},
      {"direction", "ingress"},
      {"packet", tcp}};
  const json strange = {{"time", "2026-01-02T03:04:05.679Z"},
                        {"reason", "l2_ethertype"},
                        {"port", "cali\x1b[2J"},
                        {"layer", "inner"},
                        {"tunnel", "192.168.0.2"},
                        {"before", 0},
                        {"length", 60},
                        {"policy", nullptr},
                        {"packet", {{"etherType", "0x88cc"}, {"srcMac", "02:00:00:00:00:01"}}}};
  return {{"drops", Handler([=](const json& request) -> Result<json> {
             if (!request.contains("after")) {
               return json{{"next", 5}, {"missed", 0}, {"drops", json::array()}};
             }
             if (request["after"] == 5) {
               return json{{"next", 7}, {"missed", 3}, {"drops", {denied, strange}}};
             }
             return Error{"enough"};
           })}};
}

TEST_F(CliTest, WatchesDropsAndAsksForWhatCameSince) {
  serve(two_drops());
  const Outcome all = run("-s sock drops --watch");
  EXPECT_EQ(all.out,
            "2026-01-02T03:04:05.678Z  policy_deny_ingress  caliweb  tcp 10.1.0.2:1000 > "
            "10.1.0.3:80 SYN  length 74  ingress default/NetworkPolicy:shop/db#default  "
            "(7 more before)\n"
            "2026-01-02T03:04:05.679Z  l2_ethertype  cali\\x1b[2J  ethertype 0x88cc from "
            "02:00:00:00:00:01  length 60  through 192.168.0.2\n");
  EXPECT_EQ(all.exit, 4);
  EXPECT_NE(all.err.find("3 samples came too fast"), std::string::npos) << all.err;
  EXPECT_NE(all.err.find("enough"), std::string::npos) << all.err;
}

TEST_F(CliTest, WatchesOnlyTheDropsAskedFor) {
  serve(two_drops());
  const std::string watch = "-s sock -o json drops --watch ";
  EXPECT_EQ(json::parse(run(watch + "--reason l2_ethertype").out)["length"], 60);
  EXPECT_EQ(json::parse(run(watch + "--port caliweb").out)["length"], 74);
  EXPECT_EQ(run(watch + "--port caliweb --reason l2_ethertype").out, "");
  const Outcome unknown = run(watch + "--reason l2_ethertypo");
  EXPECT_EQ(unknown.exit, 2);
  EXPECT_NE(unknown.err.find("did you mean \"l2_ethertype\"?"), std::string::npos);
  EXPECT_EQ(run("-s sock drops --port caliweb").exit, 2) << "without --watch";
  EXPECT_EQ(run("-s none drops --watch").exit, 3);
}

TEST_F(CliTest, PassesOnThePlaceAndHintOfARefusedReload) {
  start_daemon();
  EXPECT_EQ(run("-s sock reload").err,
            "sluicectl: policy.d/a.yaml:3:4: error: bad\n  hint: mend it\n");
}

TEST_F(CliTest, TakesTheSocketFromTheEnvironment) {
  start_daemon();
  setenv("SLUICE_SOCKET", "sock", 1);
  EXPECT_EQ(run("status").exit, 0);
  EXPECT_EQ(run("status -s none").exit, 3);
  unsetenv("SLUICE_SOCKET");
}

}  // namespace
}  // namespace sluice::control
