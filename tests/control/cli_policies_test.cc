// SPDX-License-Identifier: Apache-2.0
// The verbs test and diff of the built sluicectl, on files; SLUICECTL is its path.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

namespace sluice::control {
namespace {

using nlohmann::json;

struct Outcome {
  int exit = -1;
  std::string out;
  std::string err;
};

constexpr const char* kPolicy = R"(apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {selector: app == 'web'}
      destination: {ports: [5432]}
)";

constexpr const char* kFixtures = R"(
fixtures:
  endpoints:
    - {name: shop/web, labels: {app: web}, address: 10.1.0.2}
    - {name: shop/db, labels: {app: db}, address: 10.1.0.3}
)";

class CliPolicies : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice-cli-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    std::filesystem::create_directory(directory_ + "/p");
    write("p/policy.yaml", kPolicy);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(
        std::filesystem::path(directory_ + "/" + name).parent_path());
    std::ofstream(directory_ + "/" + name) << text;
  }
  std::string read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/" + name).rdbuf();
    return text.str();
  }
  Outcome run(const std::string& arguments) {
    const std::string command =
        "cd " + directory_ + " && exec " SLUICECTL " " + arguments + " >out 2>err";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read("out"), read("err")};
  }
  // Runs one test file with these cases, a line each.
  Outcome test(const std::string& cases, const std::string& more = "") {
    write("p/a.test.yaml", kFixtures + ("cases:\n" + cases));
    return run("test -f p " + more);
  }

  std::string directory_;
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

}  // namespace
}  // namespace sluice::control
