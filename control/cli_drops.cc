// SPDX-License-Identifier: Apache-2.0
#include "control/cli_drops.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <vector>

#include "classifier/verdict.h"
#include "config/findings.h"
#include "control/api.h"

namespace sluice::control::cli {
namespace {

using nlohmann::json;

constexpr timespec kPause{0, 100'000'000};

volatile std::sig_atomic_t stopped = 0;

void stop(int /*signal*/) {
  stopped = 1;
}

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = stop;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) {
    sigaction(signal, &action, nullptr);  // without SA_RESTART: a wait ends, too
  }
}

bool is_reason(const std::string& text) {
  std::vector<std::string_view> names;
  for (size_t r = 1; r < kDropReasons; ++r) {
    names.push_back(name(static_cast<DropReason>(r)));
    if (names.back() == text) {
      return true;
    }
  }
  const std::string near = config::nearest(text, names);
  print_error("drops: there is no reason \"" + text + "\"",
              near.empty() ? "`sluicectl drops` lists those that counted"
                           : "did you mean \"" + near + "\"?");
  return false;
}

// Names come from the kernel and from files: nothing of them may move the cursor.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\') {
      out += c;
      continue;
    }
    std::array<char, 5> code{};
    std::snprintf(code.data(), code.size(), "\\x%02x", byte);
    out += code.data();
  }
  return out;
}

std::string number(const json& row, const char* key) {
  return std::to_string(row.value(key, uint64_t{0}));
}

// "tcp 10.1.0.2:1000 > 10.1.0.3:80 SYN", and what is inside, if anything.
std::string packet_text(const json& packet) {
  if (!packet.contains("src")) {
    return "ethertype " + packet.value("etherType", "?") + " from " +
           packet.value("srcMac", "?");
  }
  const auto end = [&](const char* address, const char* port) {
    return packet.value(address, "?") +
           (packet.contains(port) ? ":" + number(packet, port) : "");
  };
  std::string text =
      packet.value("proto", "?") + " " + end("src", "sport") + " > " + end("dst", "dport");
  if (packet.contains("flags")) {
    text += " " + packet.value("flags", "");
  }
  if (packet.contains("icmpType")) {
    text += " type " + number(packet, "icmpType") + "/" + number(packet, "icmpCode");
  }
  if (packet.contains("fragment")) {
    text += " fragment " + number(packet["fragment"], "id") + "@" +
            number(packet["fragment"], "offset");
  }
  if (packet.contains("inner")) {
    text += " [" + packet_text(packet["inner"]) + "]";
  }
  return text;
}

std::string rule_text(const json& row) {
  const json policy = row.value("policy", json());
  if (!policy.is_object()) {
    return "";
  }
  const std::string ns = policy.value("namespace", "");
  const int rule = row.value("rule", -1);
  return "  " + row.value("direction", "") + " " + row.value("tier", "") + "/" +
         policy.value("kind", "") + ":" + (ns.empty() ? "" : ns + "/") +
         policy.value("name", "") + "#" + (rule < 0 ? "default" : std::to_string(rule));
}

void print_drop(const json& row) {
  std::string line = row.value("time", "?") + "  " + row.value("reason", "?") + "  " +
                     row.value("port", "?") + "  " + packet_text(row.value("packet", json())) +
                     "  length " + number(row, "length") + rule_text(row);
  if (row.value("layer", "") == "inner") {
    line += "  through " + row.value("tunnel", "?");
  }
  if (row.value("before", 0) > 0) {
    line += "  (" + number(row, "before") + " more before)";
  }
  std::printf("%s\n", escaped(line).c_str());
}

bool wanted(const DropsArguments& arguments, const json& row) {
  return (arguments.reason.empty() || row.value("reason", "") == arguments.reason) &&
         (arguments.port.empty() || row.value("port", "") == arguments.port);
}

void print_drops(const DropsArguments& arguments, const json& drops, Output output) {
  for (const json& row : drops) {
    if (!wanted(arguments, row)) {
      continue;
    }
    if (output == Output::json) {
      print_json(row);
    } else {
      print_drop(row);
    }
  }
  std::fflush(stdout);
}

int watch(const DropsArguments& arguments, const Daemon& daemon) {
  stop_on_signals();
  json request = {{"verb", "drops"}};
  while (stopped == 0) {
    const Result<json> answer = call(daemon.socket, request, kAnswerTime);
    if (stopped != 0) {
      break;
    }
    int exit = kYes;
    const std::optional<json> result = result_of(answer, exit);
    if (!result) {
      return exit;
    }
    print_drops(arguments, result->value("drops", json::array()), daemon.output);
    if (const auto missed = result->value("missed", uint64_t{0}); missed > 0) {
      print_error(std::to_string(missed) + " samples came too fast to be shown");
    }
    request["after"] = result->value("next", uint64_t{0});
    nanosleep(&kPause, nullptr);
  }
  return kYes;
}

}  // namespace

int drops(const DropsArguments& arguments, const Daemon& daemon) {
  if (!arguments.reason.empty() && !is_reason(arguments.reason)) {
    return kBadInput;
  }
  return arguments.watch ? watch(arguments, daemon) : stats(daemon, "drops");
}

}  // namespace sluice::control::cli
