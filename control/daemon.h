// SPDX-License-Identifier: Apache-2.0
// sluiced at work: owns workers, ports and the control socket, and carries every change from
// the files to the workers.
//
// Everything here runs on the control thread, in one poll loop: signals, netlink, the control
// socket, a 20 ms tick.  A reload is all-or-nothing: with any error the running generation
// stays. SIGHUPs that arrive while one is carried out make one more, never a queue.
#ifndef SLUICE_CONTROL_DAEMON_H_
#define SLUICE_CONTROL_DAEMON_H_

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/load.h"
#include "config/read_files.h"
#include "control/api.h"
#include "control/build.h"
#include "control/host_port.h"
#include "control/netlink.h"
#include "control/port_set.h"
#include "fastpath/worker.h"

namespace sluice::control {

class Daemon {
 public:
  explicit Daemon(std::string config_file) : config_file_(std::move(config_file)) {}
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // HUP, TERM and INT come through the loop's descriptor.  Call it before any thread is made
  // (EAL makes some): a thread that does not block them would be ended by them.
  static void block_signals();

  // Brings all of it up from a model that loaded without errors; on failure what was set up is
  // taken down again by the destructor.
  Status start(const config::Loaded& loaded);
  // Serves until SIGTERM or SIGINT.
  void run();

  // One attempt; an Error says that nothing changed.
  Status reload();

  nlohmann::json status() const;
  nlohmann::json endpoints() const;
  nlohmann::json policies() const;
  nlohmann::json routes() const;
  nlohmann::json connections() const;
  nlohmann::json stats() const;

 private:
  struct LastReload {
    bool ok = true;
    std::time_t at = 0;
    std::string error;
  };

  Status start_memory(const config::Settings& settings);
  Status start_ports(const config::Settings& settings);
  Status start_workers(const config::Settings& settings);
  Status start_control(const config::Settings& settings);
  Status keep_ports(const config::Settings& settings);
  Handlers handlers();
  // Makes the view of built_ and the open ports what the workers see.
  void publish();
  // Opens ports of new pods, publishes, closes those of pods that have gone.
  void apply();
  // Publishes and closes what leaves, until the ports are as the links and pods are.
  void settle_ports();
  void fix_neighbours();
  std::vector<PortSet::Pod> pods() const;
  void take_node(bool on);
  void warn_of_strange_addresses();
  void tell_ours();
  void sync_kernel();
  void on_signal();
  void on_netlink();
  Status learn_neighbours();
  void on_neighbour(const Neighbour& neighbour);
  void resolve_wanted();
  std::vector<const Counters*> counters() const;

  std::string config_file_;
  config::ReadFiles files_;
  config::Model model_;
  Registries registries_;
  std::optional<Built> built_;
  uint64_t next_serial_ = 1;
  std::time_t started_ = 0;
  LastReload last_reload_;

  PortSet::Room room_;
  std::unique_ptr<Buffers> buffers_;
  Neighbours neighbours_;
  std::unique_ptr<Published> published_;
  // While there is a host endpoint: what was there before it.
  std::shared_ptr<const NodeFlows> node_flows_;
  std::optional<Netlink> netlink_;
  std::optional<NetlinkMonitor> monitor_;
  std::optional<HostPort> host_port_;
  std::unique_ptr<PortSet> ports_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<ApiServer> api_;
  int signal_fd_ = -1;
  bool stopping_ = false;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_DAEMON_H_
