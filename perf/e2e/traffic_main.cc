// SPDX-License-Identifier: Apache-2.0
// One run of traffic between two pods, its outcome as one line of JSON.
//   traffic --from SPACE:INTERFACE:ADDRESS --to SPACE:INTERFACE:ADDRESS [--rate PPS] ...
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <nlohmann/json.hpp>

#include "perf/e2e/traffic.h"

namespace sluice::perf {
namespace {

struct Arguments {
  std::string from;
  std::string to;
  std::string node = "ee:ee:ee:ee:ee:ee";
  std::string drop_at;
  Flood flood;
  bool is_established = false;
  unsigned core = 0;
  std::vector<unsigned> watched;
};

Place place_of(const std::string& text) {
  std::istringstream in(text);
  Place place;
  std::string address;
  std::getline(in, place.space, ':');
  std::getline(in, place.interface, ':');
  std::getline(in, address);
  in_addr parsed = {};
  if (place.interface.empty() ||
      (!address.empty() && inet_pton(AF_INET, address.c_str(), &parsed) != 1)) {
    throw std::runtime_error("not SPACE:INTERFACE[:ADDRESS]: " + text);
  }
  place.address = ntohl(parsed.s_addr);
  return place;
}

std::array<uint8_t, 6> mac_of(const std::string& text) {
  std::array<uint8_t, 6> mac = {};
  std::istringstream in(text);
  std::string byte;
  for (uint8_t& each : mac) {
    if (!std::getline(in, byte, ':')) {
      throw std::runtime_error("not a MAC address: " + text);
    }
    each = static_cast<uint8_t>(std::stoul(byte, nullptr, 16));
  }
  return mac;
}

nlohmann::json percentiles(const std::vector<uint64_t>& histogram) {
  uint64_t all = 0;
  for (const uint64_t count : histogram) {
    all += count;
  }
  nlohmann::json found = nlohmann::json::object();
  for (const double percent : {50.0, 99.0, 99.9, 100.0}) {
    uint64_t sum = 0;
    unsigned bucket = 0;
    while (bucket + 1 < histogram.size() && static_cast<double>(sum += histogram[bucket]) <
                                                static_cast<double>(all) * percent / 100) {
      bucket++;
    }
    std::ostringstream name;
    name << 'p' << percent;
    found[name.str()] = bucket_ns(bucket);
  }
  return found;
}

nlohmann::json as_json(const Outcome& outcome, bool has_times) {
  nlohmann::json json = {{"seconds", outcome.seconds},
                         {"sent", outcome.sent},
                         {"skipped", outcome.skipped},
                         {"received", outcome.received},
                         {"received_bytes", outcome.received_bytes},
                         {"generator_free_ns", outcome.generator_free_ns},
                         {"free_ns", outcome.free_ns}};
  if (has_times) {
    json["latency_ns"] = percentiles(outcome.latencies);
  }
  return json;
}

void add_options(CLI::App& app, Arguments& a) {
  app.add_option("--from", a.from, "pod that sends: NAMESPACE:INTERFACE:ADDRESS")->required();
  app.add_option("--to", a.to, "pod that receives")->required();
  app.add_option("--node", a.node, "MAC address that pods send to")->capture_default_str();
  app.add_option("--drop-at", a.drop_at, "drop all where it enters NAMESPACE:INTERFACE");
  app.add_option("--rate", a.flood.rate_pps, "packets a second; 0: as many as it can");
  app.add_option("--seconds", a.flood.seconds, "measured time")->capture_default_str();
  app.add_option("--warm-up", a.flood.warm_up_s, "seconds before")->capture_default_str();
  app.add_option("--frame", a.flood.frame_bytes, "bytes without FCS")
      ->check(CLI::Range(60, 3000))
      ->capture_default_str();
  app.add_option("--batch", a.flood.batch, "frames sent together")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--first", a.flood.first, "number of the first flow");
  app.add_option("--flows", a.flood.flows, "flows in turn; 0: each packet a new one");
  app.add_flag("--established", a.is_established, "open the flows first, both ways");
  app.add_option("--port", a.flood.port, "first destination port")->capture_default_str();
  app.add_flag("--latency", a.flood.measure_time, "one-way times");
  app.add_option("--core", a.core, "core of the generator")->capture_default_str();
  app.add_option("--watch", a.watched, "cores whose free time is measured");
}

void run(const Arguments& arguments) {
  std::optional<Place> drop_at;
  if (!arguments.drop_at.empty()) {
    drop_at = place_of(arguments.drop_at);
  }
  Traffic traffic(place_of(arguments.from), place_of(arguments.to), mac_of(arguments.node),
                  drop_at ? &*drop_at : nullptr);
  if (arguments.is_established) {
    traffic.open(arguments.flood, arguments.core);
  }
  const Outcome outcome = traffic.run(arguments.flood, arguments.core, arguments.watched);
  std::cout << as_json(outcome, arguments.flood.measure_time) << '\n';
}

int run_main(int argc, char** argv) {
  CLI::App app("Traffic between two pods in network namespaces, counted where it arrives.");
  Arguments arguments;
  add_options(app, arguments);
  CLI11_PARSE(app, argc, argv);
  run(arguments);
  return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  try {
    return sluice::perf::run_main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "traffic: %s\n", e.what());
  } catch (...) {
    std::fputs("traffic: failed\n", stderr);
  }
  return 1;
}
