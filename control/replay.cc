// SPDX-License-Identifier: Apache-2.0
#include "control/replay.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include <spdlog/spdlog.h>

#include "control/build.h"
#include "control/report.h"
#include "fastpath/buffers.h"
#include "fastpath/pipeline.h"
#include "fastpath/port_pcap.h"

namespace sluice::control {
namespace {

constexpr uint32_t kReplayBuffers = 8192;
constexpr Nanos kTick = 1000000;
// What is added to capture time: a capture may begin at zero, a monotonic clock does not.
constexpr Nanos kClockStart = kSecond;

// Locally administered, and the last byte is the port's slot: stable over runs.
MacAddress default_mac(PortId id) {
  return {{0x02, 0x51, 0x1c, 0x00, static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id)}};
}
constexpr MacAddress kCalicoMac = {{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};
constexpr MacAddress kKernelMac = {{0x02, 0x51, 0x1c, 0xff, 0xff, 0xff}};

struct Captures {
  std::map<PortId, std::unique_ptr<PortPcap>> ports;

  Status open(const std::string& directory, PortId id, const Port::Info& info,
              Buffers& buffers) {
    const std::string base = directory + "/" + info.name;
    std::optional<std::string> in = base + ".in.pcap";
    std::error_code failed;
    if (!std::filesystem::exists(*in, failed)) {
      in.reset();
    }
    auto port = PortPcap::open(in, base + ".out.pcap", buffers, info);
    if (!port) {
      return port.error();
    }
    ports[id] = std::move(*port);
    return Ok{};
  }

  // The port whose frame comes next: by time, then by name.
  PortId next() const {
    PortId best = kNoPort;
    for (const auto& [id, port] : ports) {
      if (!port->next_time()) {
        continue;
      }
      if (best == kNoPort) {
        best = id;
        continue;
      }
      const PortPcap& held = *ports.at(best);
      if (std::pair(*port->next_time(), port->info().name) <
          std::pair(*held.next_time(), held.info().name)) {
        best = id;
      }
    }
    return best;
  }
};

Status open_all(Captures& captures, const config::Settings& settings, const Built& built,
                const Registries& registries, const std::string& directory, Buffers& buffers) {
  const uint16_t mtu = kEtherMtu;
  Port::Info uplink{"uplink", settings.uplink.mac.value_or(default_mac(kUplinkPort)), mtu,
                    /*unfinished_checksums=*/true,
                    /*own_neighbours=*/true};
  if (Status s = captures.open(directory, kUplinkPort, uplink, buffers); !s) {
    return s;
  }
  Port::Info host{"host", default_mac(kHostPort), mtu, true, true};
  if (Status s = captures.open(directory, kHostPort, host, buffers); !s) {
    return s;
  }
  for (const LocalEndpoint& endpoint : built.policy.endpoints) {
    const auto id = registries.endpoints.port(endpoint.interface_name);
    Port::Info info{endpoint.interface_name, kCalicoMac, mtu, true, true};
    if (Status s = captures.open(directory, *id, info, buffers); !s) {
      return s;
    }
  }
  return Ok{};
}

// A capture that no port reads would be left out in silence.
Status check_names(const Captures& captures, const std::string& directory) {
  constexpr std::string_view kEnding = ".in.pcap";
  std::vector<std::string_view> names;
  for (const auto& [id, port] : captures.ports) {
    names.push_back(port->info().name);
  }
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    const std::string file = entry.path().filename().string();
    if (!file.ends_with(kEnding)) {
      continue;
    }
    const std::string name = file.substr(0, file.size() - kEnding.size());
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = config::nearest(name, names);
      return Error{entry.path().string() + ": no local endpoint has interface \"" + name + "\"",
                   near.empty() ? "uplink, host, or an interface: sluicectl get endpoints"
                                : "did you mean \"" + near + "\"?"};
    }
  }
  return Ok{};
}

View view_of(const Built& built, const Captures& captures) {
  View view;
  view.serial = 1;
  view.generation = built.generation;
  for (const auto& [id, port] : captures.ports) {
    view.serve(id, port.get(), 0);
  }
  view.host_mac = kKernelMac;
  view.node_mac = kKernelMac;
  return view;
}

// A pod whose MAC no resource tells has a fixed one, as the uplink's neighbours do not.
void know_pods(Neighbours& neighbours, const Generation& generation) {
  for (const Endpoint& endpoint : generation.endpoints) {
    if (endpoint.port == kNoPort || !endpoint.mac.is_zero()) {
      continue;
    }
    for (const Address& address : endpoint.addresses) {
      neighbours.learn(neighbours.find(endpoint.port, address), default_mac(endpoint.port));
    }
  }
}

Status write_counters(const std::string& directory, const Counters& counters,
                      const Captures& captures, const RuleNames& names,
                      std::vector<FateRecord>& fates) {
  std::vector<PortName> ports;
  for (const auto& [id, port] : captures.ports) {
    ports.push_back({id, port->info().name, port->missed()});
  }
  const Counters* const all[] = {&counters};
  nlohmann::json out = {
      {"ports", ports_json(all, ports)},      {"drops", drops_json(all, ports)},
      {"inner_drops", inner_drops_json(all)}, {"rules", rules_json(all, names)},
      {"fates", nlohmann::json::array()},
  };
  const auto port_name = [&](PortId id) { return captures.ports.at(id)->info().name; };
  std::sort(fates.begin(), fates.end(), [&](const FateRecord& a, const FateRecord& b) {
    return std::pair(port_name(a.port), a.index) < std::pair(port_name(b.port), b.index);
  });
  for (const FateRecord& f : fates) {
    nlohmann::json row = {
        {"port", port_name(f.port)}, {"index", f.index}, {"fate", name(f.fate)}};
    row["reason"] = f.fate == Fate::dropped ? nlohmann::json(name(f.reason)) : nlohmann::json();
    out["fates"].push_back(std::move(row));
  }
  const std::string file = directory + "/counters.json";
  std::ofstream stream(file);
  stream << out.dump(2) << '\n';
  stream.close();
  if (!stream) {
    return Error{file + ": cannot be written"};
  }
  return Ok{};
}

// Every frame through the pipeline, in the captures' order and by their clock.
void run_all(Captures& captures, const View& view, Pipeline& pipeline, Output& output) {
  Nanos now = 0;
  Nanos ticked = 0;
  for (PortId id = captures.next(); id != kNoPort; id = captures.next()) {
    PortPcap& port = *captures.ports[id];
    now = std::max<Nanos>(now, *port.next_time());
    for (auto& [unused, each] : captures.ports) {
      each->set_now(now);
    }
    pipeline.begin(view, kClockStart + now);
    if (now - ticked >= kTick) {
      pipeline.tick();
      ticked = now;
    }
    rte_mbuf* frame = nullptr;
    if (port.receive({&frame, 1}) == 1) {
      replay_index(frame) = port.last_index();
      pipeline.receive({&frame, 1}, id);
    }
    // What an ARP answer sets free leaves at the answer's time.
    output.release_held();
    output.flush();
  }
  pipeline.tick();
  pipeline.free_held();
  pipeline.fold_all();
}

}  // namespace

Status replay(const config::Loaded& loaded, const std::string& directory) {
  config::Model model = loaded.model;
  model.settings.workers.cores = {0};  // one worker owns all endpoints
  const config::Settings& settings = model.settings;
  Registries registries;
  config::Findings findings;
  const Built built = build(model, registries, nullptr, findings);
  if (findings.has_errors()) {
    return Error{findings.format(loaded.model.files)};
  }
  std::error_code failed;
  if (!std::filesystem::is_directory(directory, failed)) {
    return Error{directory + ": " + (failed ? failed.message() : "no such directory"),
                 "put the captures there as <port>.in.pcap, uplink.in.pcap for the uplink"};
  }
  auto buffers = Buffers::create(kReplayBuffers);
  if (!buffers) {
    return buffers.error();
  }
  Captures captures;
  if (Status s = open_all(captures, settings, built, registries, directory, **buffers); !s) {
    return s;
  }
  if (Status s = check_names(captures, directory); !s) {
    return s;
  }
  Counters counters(kMaxCounters);
  Neighbours neighbours;
  for (const auto& [address, mac] : settings.uplink.neighbours) {
    neighbours.fix(neighbours.find(kUplinkPort, address), mac);
  }
  know_pods(neighbours, *built.generation);
  auto connections =
      ConnTable::make({settings.connections.max,
                       settings.connections.calico_bpf_timeouts ? Timeouts::calico_bpf_preset()
                                                                : Timeouts::linux_preset(),
                       {0x0706050403020100u, 0x0f0e0d0c0b0a0908u},
                       settings.connections.endpoint_share});
  if (!connections) {
    return connections.error();
  }
  std::vector<FateRecord> fates;
  Output output(0, counters, neighbours, (*buffers)->pool());
  output.record_fates(&fates);
  auto pipeline =
      std::make_unique<Pipeline>(Pipeline::Options{0, 1, 1, true}, *connections, output);
  const View view = view_of(built, captures);

  run_all(captures, view, *pipeline, output);
  for (auto& [id, port] : captures.ports) {
    if (Status s = port->flush(); !s) {
      return s;
    }
  }
  return write_counters(directory, counters, captures, registries.rules, fates);
}

}  // namespace sluice::control
