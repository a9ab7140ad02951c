// SPDX-License-Identifier: Apache-2.0
// Runs the built sluicectl, as users do, in a directory of the test's own; SLUICECTL is its
// path.
#ifndef SLUICE_TESTS_CONTROL_CLI_DIRECTORY_H_
#define SLUICE_TESTS_CONTROL_CLI_DIRECTORY_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace sluice::control {

struct Outcome {
  int exit = -1;
  std::string out;
  std::string err;
};

inline constexpr const char* kPolicy = R"(apiVersion: projectcalico.org/v3
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

class CliDirectory : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice-cli-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, std::string_view text) {
    const std::filesystem::path path = directory_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/" + name).rdbuf();
    return text.str();
  }

  // `arguments` as a shell would read them.
  Outcome run(const std::string& arguments) {
    const std::string command =
        "cd " + directory_ + " && exec " SLUICECTL " " + arguments + " >out 2>err";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read("out"), read("err")};
  }

  std::string directory_;
};

}  // namespace sluice::control

#endif  // SLUICE_TESTS_CONTROL_CLI_DIRECTORY_H_
