// SPDX-License-Identifier: Apache-2.0
#include "control/cli_detach.h"

#include <chrono>
#include <cstdio>

#include "config/load.h"
#include "control/api.h"
#include "control/host_port.h"
#include "control/pins.h"

namespace sluice::control::cli {

int detach(const Daemon& daemon, const std::string& config) {
  std::string socket = daemon.socket;
  std::string state = config::Settings{}.control.state;
  if (!config.empty()) {
    const config::Loaded loaded = config::load(config);
    if (loaded.model.settings.node.empty()) {  // the resources it names do not matter here
      std::fputs(loaded.findings.format(loaded.model.files).c_str(), stderr);
      return kBadInput;
    }
    socket = loaded.model.settings.control.socket;
    state = loaded.model.settings.control.state;
  }
  if (call(socket, {{"verb", "status"}}, std::chrono::seconds(1))) {
    print_error("a daemon answers at " + socket,
                "end it first: detach is for what is left then");
    return kRefused;
  }
  const auto released = release_pins(state);
  const Status host = released ? HostPort::remove_leftovers() : Status{released.error()};
  if (!host) {
    print_error(host.error().what, host.error().hint);
    return kRefused;
  }
  if (daemon.output == Output::json) {
    print_json({{"released", *released}});
    return kYes;
  }
  for (const std::string& interface : *released) {
    std::printf("%s is the kernel's again\n", interface.c_str());
  }
  if (released->empty()) {
    std::puts("no pinned program was left");
  }
  return kYes;
}

}  // namespace sluice::control::cli
