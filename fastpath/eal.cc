// SPDX-License-Identifier: Apache-2.0
#include "fastpath/eal.h"

#include <cctype>
#include <vector>

#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

namespace sluice {
namespace {

// [domain:]bus:device.function, all hexadecimal.
bool is_pci_address(const std::string& text) {
  const std::string address = text.substr(0, text.find(','));
  int colons = 0;
  int dots = 0;
  for (const char c : address) {
    colons += c == ':' ? 1 : 0;
    dots += c == '.' ? 1 : 0;
    if (c != ':' && c != '.' && std::isxdigit(static_cast<unsigned char>(c)) == 0) {
      return false;
    }
  }
  return dots == 1 && (colons == 1 || colons == 2);
}

int first_cpu(const cpu_set_t& set) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) {
      return cpu;
    }
  }
  return 0;
}

}  // namespace

EalOptions eal_options(const std::string& device) {
  EalOptions options;
  if (is_pci_address(device)) {
    options.pci_device = device.substr(0, device.find(','));
  }
  return options;
}

Status start_eal(const EalOptions& options) {
  static bool started = false;
  if (started) {
    return Ok{};
  }
  cpu_set_t before;
  CPU_ZERO(&before);
  sched_getaffinity(0, sizeof(before), &before);

  // Not --in-memory: DPDK 22.11 refuses it together with --no-huge.
  std::vector<std::string> args = {"sluice",
                                   "--no-shconf",
                                   "--no-huge",
                                   "--no-telemetry",
                                   "--iova-mode=va",
                                   "--log-level=error",
                                   "-m",
                                   std::to_string(options.memory_mb),
                                   "--lcores=0@" + std::to_string(first_cpu(before))};
  if (options.pci_device.empty()) {
    args.emplace_back("--no-pci");
  } else {
    args.emplace_back("-a");
    args.push_back(options.pci_device);
  }
  std::vector<char*> argv;
  argv.reserve(args.size());
  for (std::string& arg : args) {
    argv.push_back(arg.data());
  }
  const int result = rte_eal_init(static_cast<int>(argv.size()), argv.data());
  // EAL pins its caller; control must stay free to run where no worker does.
  sched_setaffinity(0, sizeof(before), &before);
  if (result < 0) {
    return Error{std::string("DPDK's environment does not start: ") + rte_strerror(rte_errno),
                 options.pci_device.empty()
                     ? "EAL's own message above says why"
                     : "is " + options.pci_device + " bound to vfio-pci? dpdk-devbind.py -s"};
  }
  started = true;
  rmdir(rte_eal_get_runtime_dir());  // made by EAL all the same, and empty
  return Ok{};
}

}  // namespace sluice
