// SPDX-License-Identifier: Apache-2.0
// *.test.yaml: what users expect of their policies, and the endpoints that they imagine for it.
//
//   resources: [../policy.d]      # besides this file's directory: relative to this file
//   fixtures:
//     namespaces: {shop: {team: red}}
//     endpoints:
//       - {name: shop/web, labels: {app: web}, address: 10.0.0.2, serviceAccount: robot,
//          ports: [{name: http, protocol: TCP, port: 8080}]}
//   cases:
//     - {from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: allow, by: db}
//
// Unknown keys are errors.  A fixture becomes a Pod of node "fixtures", with an address of
// 198.18.0.0/15 (RFC 2544) if it names none; its namespace is added if no resource has it.
// Keeps no state.
#ifndef SLUICE_CONFIG_POLICY_CASES_H_
#define SLUICE_CONFIG_POLICY_CASES_H_

#include <optional>
#include <string>
#include <vector>

#include "config/load.h"

namespace sluice::config {

struct PolicyCase {
  Where where;
  std::string name;  // as written, may be empty
  Text from;
  Text to;
  uint8_t protocol = 0;
  uint16_t port = 0;  // type << 8 | code for ICMP
  bool allow = false;
  Text by;  // empty: whoever it is
};

// The *.test.yaml among and under `paths`; what cannot be read is an error in `findings`.
std::vector<std::string> test_files(const std::vector<std::string>& paths, Loaded& loaded);

// Loads the resources for one test file: those that it names, else `paths` without test files
// (the directory of the test file, if nothing is left).  Then its fixtures, and its cases; a
// list of ports makes a case of each.
Loaded load_policy_test(const std::string& file, const std::vector<std::string>& paths,
                        std::vector<PolicyCase>& cases);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_POLICY_CASES_H_
