// SPDX-License-Identifier: Apache-2.0
#include "perf/idle_pods.h"

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include <net/if.h>
#include <sched.h>

#include "fastpath/port_xsk.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kRing = 256;  // frames, as sluiced's with so many pods

std::string pod(unsigned n) {
  return "cali" + std::to_string(n);
}

bool make_veths(unsigned count) {
  FILE* ip = popen("ip -batch -", "w");  // NOLINT(cert-env33-c): a benchmark, by its own name
  if (ip == nullptr) {
    return false;
  }
  for (unsigned n = 0; n < count; ++n) {
    std::fprintf(ip, "link add %s up type veth peer name peer%u\n", pod(n).c_str(), n);
    std::fprintf(ip, "link set peer%u up\n", n);
  }
  return pclose(ip) == 0;
}

}  // namespace

Result<IdlePods> IdlePods::make(unsigned count) {
  if (unshare(CLONE_NEWNET) != 0) {
    return Error{"no network namespace: " + std::generic_category().message(errno),
                 "run as root"};
  }
  if (!make_veths(count)) {
    return Error{"veths cannot be made"};
  }
  auto buffers = Buffers::create((count + 1) * kRing);
  if (!buffers) {
    return buffers.error();
  }
  IdlePods made;
  made.buffers_ = std::move(*buffers);
  for (unsigned n = 0; n < count; ++n) {
    PortXsk::Options options;
    options.interface = pod(n);
    options.ifindex = static_cast<int>(if_nametoindex(options.interface.c_str()));
    options.ring_size = kRing;
    auto port = PortXsk::open({}, options, *made.buffers_);
    if (!port) {
      return port.error();
    }
    made.ports_.push_back(std::move(*port));
  }
  return made;
}

}  // namespace sluice::perf
