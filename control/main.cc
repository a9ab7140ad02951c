// SPDX-License-Identifier: Apache-2.0
// sluiced: reads its arguments and starts what they ask for.
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "control/build.h"
#include "control/daemon.h"
#include "control/log_sink.h"
#include "control/posture.h"
#include "control/replay.h"
#include "fastpath/eal.h"

namespace {

constexpr int kYes = 0, kBadInput = 2, kRefused = 4;

int fail(int code, const sluice::Error& error) {
  std::fprintf(stderr, "sluiced: %s\n", error.what.c_str());
  if (!error.hint.empty()) {
    std::fprintf(stderr, "  hint: %s\n", error.hint.c_str());
  }
  return code;
}

// Loads and resolves everything, prints all findings; false if one is an error.
bool check(const std::string& file, sluice::config::Trust trust,
           sluice::config::Loaded& loaded) {
  using namespace sluice;
  loaded = config::load(file, {.trust = trust});
  if (loaded.ok()) {
    control::Registries registries;
    control::build(loaded.model, registries, nullptr, loaded.findings);
  }
  std::fputs(loaded.findings.format(loaded.model.files).c_str(), stderr);
  return loaded.ok();
}

int run(const std::string& file, const sluice::control::LogSink& log) {
  using namespace sluice;
  control::Daemon daemon(file, log);
  std::string report;
  const bool fine = daemon.load(report);
  std::fputs(report.c_str(), stderr);
  if (!fine) {
    return kBadInput;
  }
  if (geteuid() != 0) {
    return fail(kBadInput,
                {"must run as root: it attaches XDP programs and opens AF_XDP sockets",
                 "sudo sluiced --config " + file});
  }
  if (Status s = control::prevent_core_dumps(); !s) {
    return fail(kRefused, s.error());
  }
  control::Daemon::block_signals();
  if (Status s = start_eal(eal_options(daemon.settings().uplink.device)); !s) {
    return fail(kRefused, s.error());
  }
  if (Status s = daemon.start(); !s) {
    return fail(kRefused, s.error());
  }
  if (Status s = control::confine(); !s) {
    return fail(kRefused, s.error());
  }
  if (!control::posture().seccomp) {
    spdlog::warn("any system call is allowed: this is a build with sanitizers");
  }
  spdlog::info("ready node={}", daemon.settings().node);
  daemon.run();
  return kYes;
}

int replay(const sluice::config::Loaded& loaded, const std::string& directory) {
  using namespace sluice;
  if (Status s = start_eal(eal_options("")); !s) {
    return fail(kRefused, s.error());
  }
  if (Status s = control::replay(loaded, directory); !s) {
    return fail(kBadInput, s.error());
  }
  return kYes;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  CLI::App app{"sluiced: a userspace firewall between a node's uplink and its pods"};
  app.set_version_flag("--version", std::string("sluiced ") + SLUICE_VERSION);
  std::string file = "/etc/sluice/sluice.yaml";
  std::string directory;
  std::string level = "info";
  bool only_check = false;
  app.add_option("--config", file, "settings file")->capture_default_str();
  app.add_flag("--check", only_check,
               "read and resolve everything, say what is wrong, and end");
  app.add_option("--replay", directory,
                 "run the pipeline on DIR/<port>.in.pcap, write DIR/<port>.out.pcap and "
                 "DIR/counters.json; needs no root");
  app.add_option("--log-level", level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.footer(
      "Signals: HUP reads the configuration again (all or nothing), TERM ends.\n"
      "Exit codes: 0 fine, 2 bad usage or input, 4 refused.\n"
      "Example: sluiced --config /etc/sluice/sluice.yaml --check");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kYes : kBadInput;
  }
  const auto log = std::make_shared<sluice::control::LogSink>(STDERR_FILENO);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("sluiced", log));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %n %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(spdlog::level::from_str(level));

  if (directory.empty() && !only_check) {
    return run(file, *log);
  }
  sluice::config::Loaded loaded;
  // A replay judges captures by whatever files a user has.
  const auto trust =
      directory.empty() ? sluice::config::Trust::owner : sluice::config::Trust::anybody;
  if (!check(file, trust, loaded)) {
    return kBadInput;
  }
  if (only_check) {
    std::printf("%s: fine\n", file.c_str());
    return kYes;
  }
  return replay(loaded, directory);
}
