// SPDX-License-Identifier: Apache-2.0
#include "control/daemon.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control/pins.h"
#include "control/sockets.h"
#include "fastpath/eal.h"

namespace sluice::control {
namespace {

constexpr int kTickMs = 20;
// Workers report within microseconds, a sleeping one is not waited for.
constexpr std::chrono::seconds kPublishPatience{1};
// Of one step: reading all files, compiling one program (progress() tells of each).
constexpr StallLimits kControlLimits{std::chrono::seconds(5), std::chrono::seconds(20),
                                     std::chrono::seconds(120)};

sigset_t loop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGHUP, SIGTERM, SIGINT}) {
    sigaddset(&set, signal);
  }
  return set;
}

// A reload cannot change what was made at start: such settings keep the values that run.
void keep_what_needs_a_restart(const config::Settings& runs, config::Settings& next,
                               config::Findings& findings) {
  std::string changed;
  const auto keep = [&changed](const char* name, const auto& old, auto& now) {
    if (now != old) {
      now = old;
      changed += (changed.empty() ? "" : ", ") + std::string(name);
    }
  };
  keep("uplink.interface", runs.uplink.interface, next.uplink.interface);
  keep("uplink.device", runs.uplink.device, next.uplink.device);
  keep("uplink.mac", runs.uplink.mac, next.uplink.mac);
  if (!runs.uplink.device.empty()) {  // the kernel has them on sluice0
    keep("uplink.addresses", runs.uplink.addresses, next.uplink.addresses);
    keep("uplink.gateway", runs.uplink.gateway, next.uplink.gateway);
    keep("uplink.gateway6", runs.uplink.gateway6, next.uplink.gateway6);
  }
  keep("workers.cores", runs.workers.cores, next.workers.cores);
  keep("workers.idle", runs.workers.poll, next.workers.poll);
  keep("connections.max", runs.connections.max, next.connections.max);
  keep("connections.endpointShare", runs.connections.endpoint_share,
       next.connections.endpoint_share);
  keep("connections.timeouts", runs.connections.calico_bpf_timeouts,
       next.connections.calico_bpf_timeouts);
  keep("control.socket", runs.control.socket, next.control.socket);
  keep("control.state", runs.control.state, next.control.state);
  using config::OnExit;
  if (runs.path.on_exit == OnExit::kernel) {  // sluiced may not mount any more
    keep("path.onExit", runs.path.on_exit, next.path.on_exit);
  }
  if (!changed.empty()) {
    findings.warning({}, changed + ": read at start only, the values of then stay",
                     "restart sluiced to change them");
  }
}

}  // namespace

void Daemon::block_signals() {
  const sigset_t signals = loop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads any more is no reason to end
}

Daemon::~Daemon() {
  if (host_port_) {
    take_node(false);  // while workers still carry what is under way
  }
  for (auto& worker : workers_) {
    worker->stop();
  }
  watchdog_.reset();  // until here, one who does not stop is dead
  api_.reset();
  ports_.reset();
  host_port_.reset();
  workers_.clear();
  published_.reset();
  if (signal_fd_ >= 0) {
    close(signal_fd_);
  }
}

// ---- start -------------------------------------------------------------------------------

bool Daemon::load(std::string& report) {
  config::Loaded loaded = read_files();
  std::optional<Built> built;
  if (loaded.ok()) {
    built = build(loaded.model, registries_, nullptr, loaded.findings, progress());
  }
  report = loaded.findings.format(loaded.model.files);
  model_ = std::move(loaded.model);
  built_ = std::move(built);
  return loaded.ok();
}

// Says in the log how far a long compilation is, and that this thread lives.
Matcher::Progress Daemon::progress() {
  constexpr Nanos kEvery = 2000000000;
  return [this, said = monotonic_now()](size_t made, size_t all) mutable {
    ++beat_;
    if (const Nanos now = monotonic_now(); now - said >= kEvery) {
      said = now;
      spdlog::info("compiling: the programs of {} of {} pinned addresses", made, all);
    }
  };
}

config::Loaded Daemon::read_files() {
  return config::load(config_file_, {.trust = config::Trust::owner, .known = &files_});
}

Status Daemon::start() {
  const sigset_t signals = loop_signals();
  signal_fd_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  started_ = monotonic_now();
  last_reload_.at = std::time(nullptr);
  using Step = Status (Daemon::*)(const config::Settings&);
  // The socket first: a second daemon must learn that it is one before it touches a port.
  for (const Step step :
       {Step{&Daemon::start_control}, Step{&Daemon::start_memory}, Step{&Daemon::start_ports},
        Step{&Daemon::start_workers}, Step{&Daemon::keep_ports}}) {
    if (Status s = (this->*step)(model_.settings); !s) {
      return s;
    }
  }
  look_at_rules();  // from now on they count
  start_watchdog();
  return Ok{};
}

void Daemon::start_watchdog() {
  std::vector<Watchdog::Subject> subjects;
  for (const auto& worker : workers_) {
    subjects.push_back({"worker " + std::to_string(worker->options().id),
                        [w = worker.get()] { return w->turns(); }, StallLimits{}});
  }
  subjects.push_back({"the control thread", [this] { return beat_.load(); }, kControlLimits});
  watchdog_.emplace(
      std::move(subjects), [](const Watchdog::Subject& subject, Pace before, Pace now) {
        using Seconds = std::chrono::seconds;
        const auto since = [](Duration d) {
          return std::chrono::duration_cast<Seconds>(d).count();
        };
        switch (now) {
          case Pace::advancing:
            spdlog::warn("{} goes on again, having been {}", subject.name, name(before));
            break;
          case Pace::late:
            spdlog::warn("{} has not moved for {} s", subject.name, since(subject.limits.late));
            break;
          case Pace::stalled:
            spdlog::error("worker_stalled: {} has not moved for {} s", subject.name,
                          since(subject.limits.stalled));
            break;
          case Pace::dead:
            spdlog::critical("{} has not moved for {} s: aborting, to be started again",
                             subject.name, since(subject.limits.dead));
            std::abort();
        }
      });
}

Status Daemon::start_memory(const config::Settings& settings) {
  auto published = Published::create(static_cast<unsigned>(settings.workers.cores.size()));
  if (!published) {
    return published.error();
  }
  published_ = std::move(*published);
  const auto pods = static_cast<uint32_t>(built_->policy.endpoints.size());
  auto room = PortSet::room_for(pods, settings.uplink,
                                static_cast<uint32_t>(settings.workers.cores.size()));
  if (!room) {
    return room.error();
  }
  room_ = *room;
  auto buffers = Buffers::create(room_.buffers);
  if (!buffers) {
    return buffers.error();
  }
  buffers_ = std::move(*buffers);
  return Ok{};
}

Status Daemon::start_ports(const config::Settings& settings) {
  auto netlink = Netlink::open();
  if (!netlink) {
    return netlink.error();
  }
  netlink_.emplace(std::move(*netlink));
  auto monitor = NetlinkMonitor::open();
  if (!monitor) {
    return monitor.error();
  }
  monitor_.emplace(std::move(*monitor));
  ports_ = std::make_unique<PortSet>(room_, *buffers_, *netlink_);
  if (Status s = ports_->load(pin_directory(settings.control.state)); !s) {
    return s;
  }
  tell_ours();  // before the uplink's program takes the place of an earlier one
  if (Status s = ports_->open_uplink(settings.uplink); !s) {
    return s;
  }
  HostPort::Options options;
  options.mtu = ports_->uplink()->info().mtu;
  auto host = HostPort::create(options);
  if (!host) {
    return host.error();
  }
  host_port_.emplace(std::move(*host));
  if (Status s = ports_->open_host(host_port_->our_end(), host_port_->kernel_end()); !s) {
    return s;
  }
  if (ports_->uplink_ifindex() == 0) {
    if (Status s = host_port_->take_over_uplink(settings.uplink); !s) {
      return s;
    }
  }
  fix_neighbours();
  return learn_neighbours();
}

// Those that the kernel knows on the uplink, if it is the kernel's.
Status Daemon::learn_neighbours() {
  if (ports_->uplink_ifindex() == 0) {
    return Ok{};
  }
  auto known = netlink_->neighbours(ports_->uplink_ifindex());
  if (!known) {
    return known.error();
  }
  for (const Neighbour& neighbour : *known) {
    on_neighbour(neighbour);
  }
  return Ok{};
}

Status Daemon::start_workers(const config::Settings& settings) {
  const std::vector<unsigned>& cores = settings.workers.cores;
  for (size_t i = 0; i < cores.size(); ++i) {
    Worker::Options o;
    o.id = static_cast<uint8_t>(i);
    o.count = static_cast<uint8_t>(cores.size());
    o.core = cores[i];
    o.poll = settings.workers.poll;
    o.rule_counters = kMaxCounters;
    o.connections.max = settings.connections.max / static_cast<uint32_t>(cores.size());
    o.connections.populate = true;
    o.connections.endpoint_share = settings.connections.endpoint_share;
    o.connections.timeouts = settings.connections.calico_bpf_timeouts
                                 ? Timeouts::calico_bpf_preset()
                                 : Timeouts::linux_preset();
    if (getrandom(o.connections.hash_key.data(), sizeof(o.connections.hash_key), 0) !=
            sizeof(o.connections.hash_key) ||
        getrandom(&o.first_id, sizeof(o.first_id), 0) != sizeof(o.first_id)) {
      return Error{std::string("no random key for the connection table: ") +
                   std::generic_category().message(errno)};
    }
    auto worker = Worker::create(o, *published_, neighbours_, buffers_->pool());
    if (!worker) {
      return worker.error();
    }
    workers_.push_back(std::move(*worker));
  }
  if (Status s = Worker::connect(workers_); !s) {
    return s;
  }
  apply();  // the first view is there before the first packet
  for (auto& worker : workers_) {
    if (Status s = worker->start(); !s) {
      return s;
    }
  }
  return Ok{};
}

// Last of all: a start that fails leaves nothing behind.
Status Daemon::keep_ports(const config::Settings& settings) {
  const bool keep = settings.path.on_exit == config::OnExit::drop;
  if (keep) {
    if (Status s = mount_pins(settings.control.state); !s) {
      return s;
    }
    if (mounts_are_private()) {
      spdlog::warn(
          "path.onExit: drop ends with this mount namespace; start sluiced outside of "
          "it, for a network namespace with nsenter --net");
    }
  }
  return ports_->keep(keep);
}

Status Daemon::start_control(const config::Settings& settings) {
  auto api = ApiServer::listen(settings.control.socket, handlers());
  if (!api) {
    return api.error();
  }
  api_.emplace(std::move(*api));
  return Ok{};
}

// ---- from the model to the workers ---------------------------------------------------------

bool Daemon::publish() {
  auto view = std::make_unique<View>();
  view->serial = next_serial_++;
  view->generation = built_->generation;
  ports_->show(*view);
  view->host_mac = host_port_->kernel_end().mac;
  view->node_flows = node_flows_;
  view->node_flows_since = node_flows_since_;
  view->node_mac =
      ports_->uplink_ifindex() != 0 ? ports_->uplink()->info().mac : view->host_mac;
  ++beat_;
  const bool taken = published_->replace(std::move(view), kPublishPatience);
  if (taken) {
    settle_members();
  }
  for (const auto& worker : workers_) {
    worker->wake();  // a sleeping one would take it up, and wait on new ports, only later
  }
  return taken;
}

std::vector<PortSet::Pod> Daemon::pods() const {
  std::vector<PortSet::Pod> out;
  for (const LocalEndpoint& endpoint : built_->policy.endpoints) {
    if (const auto port = registries_.endpoints.port(endpoint.interface_name)) {
      out.push_back({*port, endpoint.interface_name});
    }
  }
  return out;
}

void Daemon::settle_ports() {
  do {
    if (!publish()) {
      warn_of_pending();
      return;
    }
    close_leaving();
  } while (ports_->sync(pods()));
}

// Once a second, as a port must be back by then.
void Daemon::retry_refused() {
  constexpr Nanos kEvery = kSecond;
  const Nanos now = monotonic_now();
  if (ports_->refused() && now - retried_ >= kEvery) {
    retried_ = now;
    if (ports_->sync(pods())) {
      settle_ports();
    }
  }
}

void Daemon::close_leaving() {
  for (const PortId closed : ports_->close_leaving()) {
    neighbours_.forget_port(closed);
  }
}

void Daemon::warn_of_pending() const {
  spdlog::warn("generation {} is pending: a worker has not taken it up within {} s",
               built_->generation->number, kPublishPatience.count());
}

bool Daemon::settled() {
  if (published_->settled()) {
    return true;
  }
  if (!published_->settle()) {
    return false;
  }
  settle_members();
  spdlog::info("generation {} is in force", built_->generation->number);
  close_leaving();
  if (ports_->sync(pods()) || std::exchange(links_changed_, false)) {
    settle_ports();
  }
  if (published_->settled()) {
    finish_change();
  }
  return published_->settled();
}

// REQUIRES: no worker can see what was before.
void Daemon::settle_members() {
  if (const Matcher& matcher = *built_->generation->matcher; !matcher.settled()) {
    matcher.settle();
    reload_times_.settled(monotonic_now());
  }
}

// What else waits until then.
void Daemon::finish_change() {
  if (!built_->policy.uplink.name.empty()) {
    take_node(true);
  }
  registries_.endpoints.release_absent(built_->policy.endpoints);
}

// Those of the settings.
void Daemon::fix_neighbours() {
  for (const auto& [address, mac] : model_.settings.uplink.neighbours) {
    const uint32_t slot = neighbours_.find(kUplinkPort, address);
    if (slot != Neighbours::kNone) {
      neighbours_.fix(slot, mac);
    }
  }
}

void Daemon::apply() {
  const bool protected_uplink = !built_->policy.uplink.name.empty();
  // The node's own traffic never comes to workers that know no host endpoint.
  if (!protected_uplink) {
    take_node(false);
  }
  if (!built_->generation->host_endpoints) {
    node_flows_.reset();
  } else if (node_flows_ == nullptr || (protected_uplink && !node_taken_)) {
    node_flows_ = std::make_shared<const NodeFlows>(tcp_connections());
    node_flows_since_ = monotonic_now();
  }
  ports_->sync(pods());
  settle_ports();
  if (published_->settled()) {
    finish_change();
  }
  sync_kernel();
}

void Daemon::take_node(bool on) {
  if (Status s = ports_->take_node(on); !s) {
    spdlog::error("the node's own traffic is not policed: {}{}{}", s.error().what,
                  s.error().hint.empty() ? "" : "; hint: ", s.error().hint);
    return;
  }
  node_taken_ = on;
  if (on) {
    warn_of_strange_addresses();
  }
}

// Those that the kernel has on its uplink, and no resource or setting names.
void Daemon::warn_of_strange_addresses() {
  const auto local = netlink_->addresses();
  if (!local) {
    return;
  }
  for (const LocalAddress& one : *local) {
    const bool carried = one.address.is_v4() || model_.settings.path.ip6;
    if (one.ifindex == ports_->uplink_ifindex() && carried &&
        !built_->generation->routes->own.contains(one.address)) {
      spdlog::warn(
          "what comes for {} by the uplink is dropped as rt_transit: add it to "
          "uplink.addresses",
          to_string(one.address));
    }
  }
}

// Which frames of the uplink are ours.
void Daemon::tell_ours() {
  std::vector<Prefix> local;
  for (const LocalEndpoint& endpoint : built_->policy.endpoints) {
    for (const Address& address : endpoint.addresses) {
      local.push_back(Prefix::of(address, 128));
    }
  }
  const PathOptions& path = built_->generation->options;
  const XdpIp6 off = path.uplink_ip6_punt ? XdpIp6::kernel : XdpIp6::dropped;
  ports_->set_ours({built_->generation->routes->outer_source}, local,
                   path.ip6 ? XdpIp6::carried : off);
}

// What the kernel must know: which frames of the uplink are ours, where pods are.
void Daemon::sync_kernel() {
  tell_ours();
  std::vector<Address> pods;
  for (const LocalEndpoint& endpoint : built_->policy.endpoints) {
    for (const Address& address : endpoint.addresses) {
      if (address.is_v4() || model_.settings.path.ip6) {
        pods.push_back(address);
      }
    }
  }
  Status s =
      host_port_->sync_pods(pods, built_->routes.remote_blocks, built_->routes.tunnel_address);
  if (!s) {
    spdlog::error("host port: {}", s.error().what);
  }
}

Status Daemon::reload(Nanos asked) {
  if (!settled()) {
    return Error{"generation " + std::to_string(built_->generation->number) +
                     " is still pending: a worker has not taken it up",
                 "`sluicectl status` shows which; it is started again if it stays so"};
  }
  look_at_takers();  // of the last one, before it is forgotten
  last_reload_ = {false, std::time(nullptr), ""};
  ++beat_;
  config::Loaded loaded = read_files();
  ++beat_;
  std::optional<Built> next;
  if (loaded.ok()) {
    keep_what_needs_a_restart(model_.settings, loaded.model.settings, loaded.findings);
    next = build(loaded.model, registries_, &*built_, loaded.findings, progress());
  }
  const std::string report = loaded.findings.format(loaded.model.files);
  if (!loaded.ok()) {
    last_reload_.error = report;
    registries_.endpoints.release_absent(built_->policy.endpoints);
    return Error{report, "nothing has changed: generation " +
                             std::to_string(built_->generation->number) + " runs on"};
  }
  if (!report.empty()) {
    spdlog::warn("reload: {}", report);
  }
  for (const auto& [address, mac] : model_.settings.uplink.neighbours) {
    const uint32_t slot = neighbours_.find(kUplinkPort, address);
    if (!loaded.model.settings.uplink.neighbours.contains(address) &&
        slot != Neighbours::kNone) {
      neighbours_.loosen(slot);
    }
  }
  model_ = std::move(loaded.model);
  look_at_rules();
  rule_use_.begin_changed(built_->policy, next->policy, monotonic_now());
  built_ = std::move(next);
  fix_neighbours();
  reload_times_.published(asked, built_->generation->number);
  apply();
  if (Status s = learn_neighbours(); !s) {
    spdlog::warn("{}", s.error().what);
  }
  if (Status s = keep_ports(model_.settings); !s) {
    spdlog::error("{}", s.error().what);
  }
  look_at_rules();
  last_reload_.ok = true;
  const CompiledPolicy& policy = built_->policy;
  spdlog::info(
      "reload generation={} endpoints={} policies={} anew: files={} objects={} lists={} "
      "sets={} programs={} compiled in {:.1f} ms",
      built_->generation->number, policy.endpoints.size(), policy.policies, files_.read(),
      policy.work.objects, policy.work.lists, policy.work.sets,
      built_->generation->matcher->compiled_count(),
      std::chrono::duration<double, std::milli>(built_->compiled_in).count());
  return Ok{};
}

// ---- the loop ------------------------------------------------------------------------------

void Daemon::run() {
  std::vector<pollfd> polled;
  while (!stopping_) {
    polled.clear();
    polled.push_back({signal_fd_, POLLIN, 0});
    polled.push_back({monitor_->fd(), POLLIN, 0});
    api_->add_to(polled);
    poll(polled.data(), polled.size(), kTickMs);
    ++beat_;
    if ((polled[0].revents & POLLIN) != 0) {
      on_signal();
    }
    if ((polled[1].revents & POLLIN) != 0) {
      on_netlink();
    }
    collect_drops();
    look_at_takers();
    if (rule_use_.due(monotonic_now())) {
      look_at_rules();
    }
    api_->handle(polled);
    resolve_wanted();
    if (settled()) {
      if (const Nanos asked = std::exchange(reload_wanted_, 0); asked != 0) {
        reload_by_signal(asked);
      }
      retry_refused();
    }
  }
  spdlog::info("stopping: ports are given back to the kernel");
}

void Daemon::on_signal() {
  bool hup = false;
  signalfd_siginfo info{};
  while (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
    hup = hup || info.ssi_signo == SIGHUP;
    stopping_ = stopping_ || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
  }
  if (hup && reload_wanted_ == 0) {  // the loop does it
    reload_wanted_ = monotonic_now();
  }
  reload_wanted_ = stopping_ ? 0 : reload_wanted_;
}

void Daemon::reload_by_signal(Nanos asked) {
  if (Status s = reload(asked); !s) {
    spdlog::error("reload refused:\n{}{}", s.error().what, s.error().hint);
  }
}

void Daemon::on_netlink() {
  bool links = false;
  for (const Event& event : monitor_->drain()) {
    switch (event.kind) {
      case Event::Kind::neighbour:
        on_neighbour(event.neighbour);
        break;
      case Event::Kind::link:
      case Event::Kind::link_gone:
        ports_->link_changed(event.link, event.kind == Event::Kind::link_gone);
        links = true;
        break;
      case Event::Kind::lost:
        links = true;
        ports_->recheck_links();
        if (Status s = learn_neighbours(); !s) {
          spdlog::warn("{}", s.error().what);
        }
        break;
    }
  }
  if (!published_->settled()) {
    links_changed_ = links_changed_ || links;
  } else if (links && ports_->sync(pods())) {
    settle_ports();
  }
}

void Daemon::on_neighbour(const Neighbour& neighbour) {
  if (neighbour.ifindex != ports_->uplink_ifindex()) {
    return;
  }
  const uint32_t slot = neighbours_.find(kUplinkPort, neighbour.address);
  if (slot == Neighbours::kNone) {
    return;
  }
  if (neighbour.mac) {
    neighbours_.learn(slot, *neighbour.mac);
  } else {
    neighbours_.forget(slot);
  }
}

void Daemon::resolve_wanted() {
  if (ports_->uplink_ifindex() == 0) {
    return;
  }
  neighbours_.take_wanted(kUplinkPort, [this](const Address& address) {
    Status s = netlink_->resolve(ports_->uplink_ifindex(), address);
    if (!s) {
      spdlog::warn("neighbour {}: {}", to_string(address), s.error().what);
    }
  });
}

std::vector<const Counters*> Daemon::counters() const {
  std::vector<const Counters*> out;
  for (const auto& worker : workers_) {
    out.push_back(&worker->counters());
  }
  return out;
}

}  // namespace sluice::control
