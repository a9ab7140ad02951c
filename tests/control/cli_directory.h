// SPDX-License-Identifier: Apache-2.0
// Runs the built sluicectl, as users do, in a directory of the test's own; SLUICECTL is its
// path.  A test may serve on the socket "sock" there what a daemon would answer.
#ifndef SLUICE_TESTS_CONTROL_CLI_DIRECTORY_H_
#define SLUICE_TESTS_CONTROL_CLI_DIRECTORY_H_

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include "control/api.h"

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
  void TearDown() override {
    stopping_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Once a test.
  void serve(Handlers handlers) {
    auto server = ApiServer::listen(directory_ + "/sock", std::move(handlers));
    ASSERT_TRUE(server) << server.error().what;
    server_.emplace(std::move(*server));
    thread_ = std::thread([this] {
      while (!stopping_) {
        std::vector<pollfd> polled;
        server_->add_to(polled);
        poll(polled.data(), polled.size(), 10);
        server_->handle(polled);
      }
    });
  }
  static Handler says(nlohmann::json value) {
    return Handler([value](const nlohmann::json&) -> Result<nlohmann::json> { return value; });
  }

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

 private:
  std::optional<ApiServer> server_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace sluice::control

#endif  // SLUICE_TESTS_CONTROL_CLI_DIRECTORY_H_
