// SPDX-License-Identifier: Apache-2.0
#include "control/chains.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

TEST(Chains, NamesAreShortenedAsCalicoDoes) {
  const struct {
    const char* prefix;
    const char* suffix;
    const char* name;
  } rows[] = {
      {"cali-pi-", "gnp/deny-all", "cali-pi-gnp/deny-all"},
      {"cali-pi-", "gnp/exactly-20-chars", "cali-pi-gnp/exactly-20-chars"},
      {"cali-pi-", "knp/default/allow-frontend", "cali-pi-_FJ7pway3mX3ogPCfFDC"},
      {"cali-po-", "np/prod/backend-egress-policy", "cali-po-_098Z2crphEvkOcB5sEz"},
      {"cali-pri-", "kns.default", "cali-pri-kns.default"},
      {"cali-pri-", "kns.kube-system-long-namespace", "cali-pri-_9JIas908N6m4DtywT2"},
      {"cali-pri-", "ksa.kube-system.coredns", "cali-pri-_u2Tn2rSoAPffvE7JO6"},
      {"cali-pro-", "ksa.default.default", "cali-pro-ksa.default.default"},
      {"cali-fhfw-", "any-interface-at-all", "cali-fhfw-_Nqh4HyA73udmyanQI"},
      {"cali-th-", "any-interface-at-all", "cali-th-any-interface-at-all"},
      {"cali-fw-", "", "cali-fw-_"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(chain_name(row.prefix, row.suffix), row.name);
  }
  // At full length, what begins with "_" would look like a hash.
  EXPECT_NE(chain_name("cali-pi-", "_2345678901234567890"), "cali-pi-_2345678901234567890");
}

TEST(Chains, RuleHashesAreCalicos) {
  const struct {
    const char* chain;
    std::vector<std::string> rules;
    std::vector<std::string> hashes;
  } rows[] = {
      {"INPUT", {"--jump cali-INPUT"}, {"Cz_u1IQiXIMmKD4c"}},
      {"FORWARD", {"--jump cali-FORWARD"}, {"wUHhoiAYhphO9Mso"}},
      {"OUTPUT", {"--jump cali-OUTPUT"}, {"tVnHkvAo15HuiPy0"}},
      {"cali-FORWARD",
       {"--jump MARK --set-mark 0/0x1a0000",
        "-m mark --mark 0/0x10000 --jump cali-from-hep-forward",
        "--in-interface cali+ --jump cali-from-wl-dispatch",
        "--out-interface cali+ --jump cali-to-wl-dispatch", "--jump cali-to-hep-forward",
        "--jump cali-cidr-block"},
       {"W_vvds1Nw3n9QE2f", "ZfgmjuiLaA8Pg0kp", "tAzwBLPaV-j53OOZ", "4Z0Pf0byo05NFe-P",
        "hQ7Oc16wmUtLuneJ", "rnKNH2WxGcRQcIlD"}},
      {"cali-from-wl-dispatch",
       {"-m comment --comment \"Unknown interface\" --jump DROP"},
       {"zTj6P0TIgYvgz-md"}},
      {"cali-to-wl-dispatch",
       {"-m comment --comment \"Unknown interface\" --jump DROP"},
       {"7KNphB1nNHw80nIO"}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(rule_hashes(row.chain, row.rules), row.hashes) << row.chain;
  }
}

// What make_chains writes must hash to the same, without endpoints as in that dump.
TEST(Chains, WritesTheRulesThatThoseHashesStandFor) {
  CompiledPolicy nothing;
  nothing.rules = std::make_shared<const RuleSet>();
  const std::vector<Chain> chains = make_chains(nothing, RuleNames(), {});
  const auto hashes = [&](const char* name) {
    std::vector<std::string> out;
    for (const Chain& chain : chains) {
      for (const ChainLine& line : chain.lines) {
        if (chain.name == name) {
          out.push_back(line.hash);
        }
      }
    }
    return out;
  };
  const std::vector<std::string> forward = hashes("cali-FORWARD");
  ASSERT_GE(forward.size(), 6u);
  EXPECT_EQ(forward[0], "W_vvds1Nw3n9QE2f");
  EXPECT_EQ(forward[1], "ZfgmjuiLaA8Pg0kp");
  EXPECT_EQ(forward[5], "rnKNH2WxGcRQcIlD");
  EXPECT_EQ(hashes("cali-from-wl-dispatch"), std::vector<std::string>{"zTj6P0TIgYvgz-md"});
  EXPECT_EQ(hashes("cali-to-wl-dispatch"), std::vector<std::string>{"7KNphB1nNHw80nIO"});
}

}  // namespace
}  // namespace sluice::control
