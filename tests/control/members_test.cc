// SPDX-License-Identifier: Apache-2.0
// A change of the files as the daemon carries it out: build() on what was built before, then
// settle() once no worker sees that any more.  A pod's labels touch the programs that ask about
// them and no others; its packets meet the new answer when the change is settled.
#include <set>

#include <gtest/gtest.h>

#include "tests/control/policy_world.h"

namespace sluice::control {
namespace {

using namespace testing;

// Who may enter whom, by label.
constexpr const char* kPolicies = R"(
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-web, namespace: ns1}
spec:
  selector: app == 'web'
  ingress: [{action: Allow, source: {selector: app == 'db'}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-db, namespace: ns1}
spec:
  selector: app == 'db'
  ingress: [{action: Allow, source: {selector: app == 'batch'}}]
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: ns1, labels: {app: batch}},
 spec: {nodeName: n2}, status: {phase: Running, podIP: 10.0.1.10}}
)";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}
// The document that names the pod has other labels.
std::string relabelled(const std::string& text, const std::string& pod, const std::string& from,
                       const std::string& to) {
  const size_t at = text.find("{name: " + pod + ", namespace: ns1");
  EXPECT_NE(at, std::string::npos) << pod;
  return text.substr(0, at) + replaced(text.substr(at), "app: " + from, "app: " + to);
}

class MembersTest : public ::testing::Test {
 protected:
  // One reload after the other, up to where workers could be told.
  void build_of(const std::string& yaml, const std::string& settings = kSettings) {
    config::Loaded loaded = config::load_text(yaml, "f");
    loaded.model.settings = config::load_settings_text(settings, "s").model.settings;
    Built next = build(loaded.model, registries_, built_ ? &*built_ : nullptr, loaded.findings);
    ASSERT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
    before_ = std::move(built_);
    built_ = std::move(next);
  }
  const Matcher& matcher() const { return *built_->generation->matcher; }
  bool same_tables() const {
    return &matcher().classes() == &before_->generation->matcher->classes();
  }

  // What the workers' matcher says of a packet that comes for one of our pods.
  std::string verdict(const char* from, const char* to) const {
    const FlowKey key = flow(from, to, proto::kTcp, 80);
    const Generation& g = *built_->generation;
    Verdict verdict;
    g.matcher->classify({&key, 1}, {&g.endpoints[g.by_address.at(key.dst)].judge_in[0], 1},
                        {&verdict, 1});
    return verdict.kind == Verdict::Kind::allow ? "allow" : "deny";
  }

  const std::string text_ = std::string(kCluster) + kPolicies;
  Registries registries_;
  std::optional<Built> before_, built_;
};

TEST_F(MembersTest, ALabelOfARemotePodCountsOnceSettledAndCompilesNothing) {
  ASSERT_NO_FATAL_FAILURE(build_of(text_));
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "allow") << "s is a db";
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "deny");

  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(text_, "s", "db", "batch")));
  EXPECT_TRUE(same_tables());
  EXPECT_FALSE(matcher().settled());
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "allow") << "as before until it is settled";
  matcher().settle();
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "deny");
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "allow");
  EXPECT_EQ(verdict("10.0.0.2", "10.0.0.1"), "allow") << "q is a db still";
  EXPECT_EQ(matcher().compiled_count(), 0u) << "b is such a pod already";
}

TEST_F(MembersTest, APodOfItsOwnKindTouchesOnlyProgramsThatAskAboutIt) {
  ASSERT_NO_FATAL_FAILURE(build_of(text_));
  const size_t programs = matcher().program_count();
  // Both a db and a batch job: nobody was, until now.
  const std::string both = replaced(text_, "selector: app == 'batch'", "selector: has(job)");
  ASSERT_NO_FATAL_FAILURE(build_of(both));
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(both, "s", "db", "db, job: some")));
  EXPECT_TRUE(same_tables());
  matcher().settle();
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "allow");
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "allow");
  EXPECT_LT(matcher().compiled_count(), programs / 2);
}

// Two programs judge a packet between local pods; they must not meet the change one by one.
TEST_F(MembersTest, WhatChangesAtALocalPodComesWithItsGeneration) {
  ASSERT_NO_FATAL_FAILURE(build_of(text_));
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(text_, "q", "db", "batch")));
  EXPECT_TRUE(matcher().settled());
  EXPECT_EQ(verdict("10.0.0.2", "10.0.0.1"), "deny");
}

TEST_F(MembersTest, ALocalPodsLabelGivesItOtherProgramsAndOthersNone) {
  ASSERT_NO_FATAL_FAILURE(build_of(text_));
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(text_, "q", "db", "web")));
  matcher().settle();
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "allow") << "q is web now, s a db";
  EXPECT_EQ(verdict("10.0.1.10", "10.0.0.2"), "deny");
  EXPECT_EQ(verdict("10.0.0.2", "10.0.0.1"), "deny") << "and a db no more";
}

// Else packets would meet the new rules with the members of before, which is neither policy.
TEST_F(MembersTest, AnEditedPolicyComesWithItsMembersAtOnce) {
  ASSERT_NO_FATAL_FAILURE(build_of(text_));
  const std::string edited =
      replaced(text_, "[{action: Allow, source: {selector: app == 'db'}}]",
               "[{action: Deny, source: {selector: app == 'db'}}, "
               "{action: Allow}]");
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(edited, "s", "db", "batch")));
  EXPECT_TRUE(matcher().settled());
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "allow");
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "allow");
}

// A connection is judged once by each generation: by its members, then.
TEST_F(MembersTest, WithRecheckMembersComeWithTheirGeneration) {
  const std::string recheck =
      std::string(kSettings) + "connections: {onPolicyChange: recheck}\n";
  ASSERT_NO_FATAL_FAILURE(build_of(text_, recheck));
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(text_, "s", "db", "batch"), recheck));
  EXPECT_TRUE(matcher().settled());
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "deny");
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "allow");
}

TEST_F(MembersTest, AChangeAfterOneThatWasNeverSettledIsRight) {
  ASSERT_NO_FATAL_FAILURE(build_of(text_));
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(text_, "s", "db", "batch")));
  EXPECT_FALSE(matcher().settled());
  ASSERT_NO_FATAL_FAILURE(build_of(relabelled(text_, "s", "db", "web")));
  matcher().settle();
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.1"), "deny");
  EXPECT_EQ(verdict("10.0.1.9", "10.0.0.2"), "deny");
}

}  // namespace
}  // namespace sluice::control
