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

constexpr size_t kWord = 8;  // digits
constexpr unsigned kSynSent = 2, kClose = 7, kListen = 10;

std::optional<uint32_t> hex(std::string_view text) {
  uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

// An address of one or four words, each as the machine's integer.
std::optional<Address> read_address(std::string_view text) {
  uint32_t words[4] = {0, 0, 0xffff, 0};
  const size_t first = text.size() == kWord ? 3 : 0;
  if (text.size() != (4 - first) * kWord) {
    return std::nullopt;
  }
  for (size_t i = first; i < 4; ++i) {
    const auto wire = hex(text.substr((i - first) * kWord, kWord));
    if (!wire) {
      return std::nullopt;
    }
    words[i] = ntohl(*wire);
  }
  return Address{uint64_t{words[0]} << 32 | words[1], uint64_t{words[2]} << 32 | words[3]};
}

// "0100007F:0016", or with an IPv6 address.
bool read_end(std::string_view text, Address& address, uint16_t& port) {
  const size_t colon = std::min(text.find(':'), text.size());
  const auto found = read_address(text.substr(0, colon));
  const auto number = hex(text.substr(std::min(colon + 1, text.size())));
  if (!found || !number || *number > UINT16_MAX) {
    return false;
  }
  address = *found;
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
