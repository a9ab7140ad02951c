// SPDX-License-Identifier: Apache-2.0
#include "control/sockets.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include <arpa/inet.h>

namespace sluice::control {
namespace {

constexpr std::string_view kMapped =
    "0000000000000000FFFF0000";  // ::ffff:0:0, as printed there
constexpr unsigned kSynSent = 2, kClose = 7, kListen = 10;

std::optional<uint32_t> hex(std::string_view text) {
  uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

// "0100007F:0016": the address as the machine's integer, the port.
bool read_end(std::string_view text, Ip4& address, uint16_t& port) {
  if (text.starts_with(kMapped)) {
    text.remove_prefix(kMapped.size());
  }
  const size_t colon = text.find(':');
  if (colon != 8) {
    return false;
  }
  const auto wire = hex(text.substr(0, colon));
  const auto number = hex(text.substr(colon + 1));
  if (!wire || !number || *number > UINT16_MAX) {
    return false;
  }
  address.value = ntohl(*wire);
  port = static_cast<uint16_t>(*number);
  return true;
}

}  // namespace

void read_connections(std::istream& table, NodeFlows& out) {
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream words(line);
    std::string number, ours, theirs, state;
    words >> number >> ours >> theirs >> state;
    NodeFlow flow;
    const auto in_state = hex(state);
    if (in_state && *in_state != kSynSent && *in_state != kClose && *in_state != kListen &&
        read_end(ours, flow.ours, flow.our_port) &&
        read_end(theirs, flow.theirs, flow.their_port)) {
      out.push_back(flow);
    }
  }
}

NodeFlows tcp_connections() {
  NodeFlows out;
  for (const char* name : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}) {
    std::ifstream table(name);  // tcp6 is not there without IPv6
    read_connections(table, out);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace sluice::control
