// SPDX-License-Identifier: Apache-2.0
// sluiced at work: owns workers, ports and the control socket, and carries every change from
// the files to the workers.
//
// Everything here runs on the control thread, in one poll loop: signals, netlink, the control
// socket, a 20 ms tick.  A reload is all-or-nothing: with any error the running generation
// stays. SIGHUPs that arrive while one is carried out make one more, never a queue.
//
// A change is pending while a worker that stands still may see what was before it: nothing of
// that is freed or closed, and the next change waits for it.  The watchdog's thread looks after
// the workers and this one; it only logs, and aborts the process when one is dead.
#ifndef SLUICE_CONTROL_DAEMON_H_
#define SLUICE_CONTROL_DAEMON_H_

#include <atomic>
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
#include "control/drop_log.h"
#include "control/host_port.h"
#include "control/log_sink.h"
#include "control/netlink.h"
#include "control/port_set.h"
#include "control/reload_times.h"
#include "control/rule_use.h"
#include "control/stall_watch.h"
#include "fastpath/worker.h"

namespace sluice::control {

class Daemon {
 public:
  // `log` is where spdlog's lines go; it must outlive the daemon.
  Daemon(std::string config_file, const LogSink& log)
      : config_file_(std::move(config_file)), log_(log) {}
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // HUP, TERM and INT come through the loop's descriptor.  Call it before any thread is made
  // (EAL makes some): a thread that does not block them would be ended by them.
  static void block_signals();

  // Reads and resolves the files; `report` is all there is to say about them.  False: one of
  // that is an error.
  bool load(std::string& report);
  const config::Settings& settings() const { return model_.settings; }
  // Brings all of it up; on failure what was set up is taken down again by the destructor.
  // REQUIRES: load() was true.
  Status start();
  // Serves until SIGTERM or SIGINT.
  void run();

  // One attempt, asked for at that time; an Error says that nothing changed.
  Status reload(Nanos asked);

  nlohmann::json status() const;
  nlohmann::json endpoints() const;
  nlohmann::json policies() const;
  nlohmann::json programs() const;
  nlohmann::json routes() const;
  nlohmann::json connections() const;
  nlohmann::json stats() const;
  // What was dropped after request["after"], or from now on.
  Result<nlohmann::json> drops(const nlohmann::json& request);
  // Rules that have not counted in the last request["age_s"] seconds, or ever.
  Result<nlohmann::json> unused(const nlohmann::json& request);

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
  config::Loaded read_files();
  Handlers handlers();
  void start_watchdog();
  // Makes the view of built_ and the open ports what the workers see.  False: it is pending.
  bool publish();
  // Opens ports of new pods, publishes, closes those of pods that have gone.
  void apply();
  // Publishes and closes what leaves, until the ports are as the links and pods are, or the
  // change is pending.
  void settle_ports();
  void retry_refused();
  void close_leaving();
  // Whether the last change is in force for all; if it has just come to be, does what waited.
  bool settled();
  Matcher::Progress progress();
  void settle_members();
  void finish_change();
  void warn_of_pending() const;
  void fix_neighbours();
  std::vector<PortSet::Pod> pods() const;
  void take_node(bool on);
  void warn_of_strange_addresses();
  void tell_ours();
  void sync_kernel();
  void on_signal();
  void reload_by_signal(Nanos asked);
  void on_netlink();
  Status learn_neighbours();
  void on_neighbour(const Neighbour& neighbour);
  void resolve_wanted();
  std::vector<const Counters*> counters() const;
  void collect_drops();
  void look_at_rules();
  void look_at_takers();
  nlohmann::json alarms() const;

  std::string config_file_;
  config::ReadFiles files_;
  const LogSink& log_;
  config::Model model_;
  Registries registries_;
  std::optional<Built> built_;
  uint64_t next_serial_ = 1;
  Nanos started_ = 0;  // not by the wall clock, which may step
  LastReload last_reload_;

  PortSet::Room room_;
  std::unique_ptr<Buffers> buffers_;
  Neighbours neighbours_;
  std::unique_ptr<Published> published_;
  // While there is a host endpoint: what was there before it.
  std::shared_ptr<const NodeFlows> node_flows_;
  Nanos node_flows_since_ = 0;
  bool node_taken_ = false;  // the node's own traffic comes through the workers
  std::optional<Netlink> netlink_;
  std::optional<NetlinkMonitor> monitor_;
  std::optional<HostPort> host_port_;
  std::unique_ptr<PortSet> ports_;
  std::vector<std::unique_ptr<Worker>> workers_;
  DropLog drop_log_;
  RuleUse rule_use_;
  std::optional<ApiServer> api_;
  std::optional<Watchdog> watchdog_;  // its subjects: the workers in order, then this thread
  std::atomic<uint64_t> beat_{0};     // this thread comes round
  Nanos retried_ = 0;                 // ports that were refused
  bool links_changed_ = false;        // while a change was pending
  Nanos reload_wanted_ = 0;           // by SIGHUP: since then; 0: no
  ReloadTimes reload_times_;
  int signal_fd_ = -1;
  bool stopping_ = false;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_DAEMON_H_
