// SPDX-License-Identifier: Apache-2.0
#include "control/port_set.h"

#include <algorithm>
#include <bit>
#include <set>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath/port_ethdev.h"
#include "fastpath/port_xsk.h"

namespace sluice::control {

namespace {
constexpr uint32_t kLeastPods = 128;   // more than the 110 that kubelet lets a node have
constexpr uint32_t kUnderWay = 16384;  // buffers between the rings, and the uplink's own
constexpr uint32_t kUplinkRing = 2048;
// With several queues: of all of them, and of one at least.
constexpr uint32_t kUplinkRings = 8192, kLeastUplinkRing = 512;

// The queues that the kernel receives on by an interface, each of which needs a socket: what
// came by another would be lost.
Result<uint32_t> queues_of(const std::string& interface) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool told = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0;
  close(fd);
  const uint32_t receive = channels.rx_count + channels.combined_count;
  const uint32_t send = channels.tx_count + channels.combined_count;
  if (!told || receive <= 1) {  // a driver that does not tell has one
    return 1;
  }
  if (send < receive) {  // the kernel does not send by a socket on a queue without its like
    return Error{"interface \"" + interface + "\" receives on " + std::to_string(receive) +
                     " queues and sends on " + std::to_string(send) + ", fewer",
                 "ethtool -L " + interface + " rx " + std::to_string(send)};
  }
  return receive;
}
}  // namespace

Result<PortSet::Room> PortSet::room_for(uint32_t pods, const config::Uplink& uplink,
                                        uint32_t workers) {
  auto queues = uplink.interface.empty() ? workers : queues_of(uplink.interface);
  if (!queues) {
    return queues.error();
  }
  Room room;
  room.workers = workers;
  room.uplink_ring =
      std::clamp(std::bit_floor(kUplinkRings / *queues), kLeastUplinkRing, kUplinkRing);
  room.pods = std::max(kLeastPods, pods + pods / 4);
  room.pod_ring = room.pods <= kLeastPods ? 512 : 256;
  // A queue may have a ring full of frames, one of buffers to fill and the driver's own.
  const uint32_t further =
      uplink.interface.empty() ? 2 * Ethdev::kQueueFrames : 3 * room.uplink_ring;
  room.buffers = kUnderWay + room.pods * room.pod_ring + (*queues - 1) * further;
  return room;
}

PortSet::~PortSet() {
  const auto host = open_.find(kHostPort);
  const int host_ifindex = host == open_.end() ? 0 : host->second.ifindex;
  to_worker_.reset();
  from_worker_.reset();
  // Sockets go before the program that feeds them.
  open_.clear();
  if (xdp_ != nullptr) {
    xdp_->detach(host_ifindex);  // that interface ends with us: no pin of it may stay
  }
  xdp_.reset();
}

Status PortSet::load(const std::string& pins) {
  auto xdp = Xdp::load();
  if (!xdp) {
    return xdp.error();
  }
  xdp_ = std::move(*xdp);
  xdp_->set_pin_directory(pins);
  return Ok{};
}

Result<uint32_t> PortSet::queues_for(PortId id, const std::string& name) const {
  auto queues = queues_of(name);
  if (!queues || *queues == 1) {
    return queues;
  }
  if (id != kUplinkPort) {
    return Error{"interface \"" + name + "\" receives on " + std::to_string(*queues) +
                     " queues; sluice reads one of a pod",
                 "ethtool -L " + name + " rx 1"};
  }
  if (*queues > 2 * room_.workers) {
    spdlog::warn(
        "uplink: {} queues, more than twice the workers ({}), take memory for nothing; hint: "
        "{}",
        *queues, room_.workers,
        "ethtool -L " + name + " combined " + std::to_string(room_.workers));
  }
  return queues;
}

// Queues that were added since are read by nobody.
void PortSet::check_uplink_queues() {
  const auto uplink = open_.find(kUplinkPort);
  if (uplink == open_.end() || uplink->second.ifindex == 0) {
    return;
  }
  const std::string& name = uplink->second.interface;
  const auto now = queues_of(name);
  const size_t read = uplink->second.queues.size();
  std::string complaint;
  if (!now) {
    complaint = now.error().what + "; hint: " + now.error().hint + ", and restart sluiced";
  } else if (*now > read) {
    complaint = "interface \"" + name + "\" receives on " + std::to_string(*now) +
                " queues now, and sluice reads " + std::to_string(read) +
                "; hint: restart sluiced";
  }
  if (!complaint.empty() && complaints_[name] != complaint) {
    spdlog::error("frames are lost: {}", complaint);
  }
  complaints_[name] = complaint;
}

Status PortSet::open_xsk(PortId id, const std::string& name, XdpRole role, bool pod) {
  auto link = netlink_.link(name);
  if (!link) {
    return link.error();
  }
  if (!*link) {
    return Error{"interface \"" + name + "\" does not exist",
                 "`ip link` lists those of this network namespace"};
  }
  const Link& l = **link;
  if (l.mtu > kMaxMtu) {
    return Error{"interface \"" + name + "\": mtu " + std::to_string(l.mtu) + " exceeds " +
                     std::to_string(kMaxMtu) + ", what a buffer holds",
                 "ip link set " + name + " mtu 1500"};
  }
  auto queues = queues_for(id, name);
  if (!queues) {
    return queues.error();
  }
  if (Status s = xdp_->attach(l.ifindex, role); !s) {
    return s;
  }
  // Some drivers make more of them for XDP.
  if (const auto now = queues_of(name); id == kUplinkPort && now && *now > *queues) {
    queues = now;
  }
  Port::Info info;
  info.name = id == kUplinkPort ? "uplink" : name;
  info.mac = l.mac;
  info.mtu = static_cast<uint16_t>(l.mtu);
  info.unfinished_checksums = true;
  info.own_neighbours = pod;
  info.kernel_routes = id == kHostPort && uplink_ifindex() != 0;
  Open open{{}, name, l.ifindex};
  PortXsk::Options options;
  options.ifindex = l.ifindex;
  options.interface = name;
  options.ring_size = pod ? room_.pod_ring : room_.uplink_ring;
  Status s = Ok{};
  for (; s && options.queue < *queues; ++options.queue) {
    auto port = PortXsk::open(info, options, buffers_);
    s = port ? xdp_->bind(l.ifindex, options.queue, (*port)->wait_fd()) : port.error();
    if (port) {
      (*port)->set_up(l.up);
      open.queues.push_back(std::move(*port));
    }
  }
  if (!s) {
    close(open);
    return s;
  }
  open_[id] = std::move(open);
  return Ok{};
}

void PortSet::close(Open& open) {
  for (uint32_t queue = 0; queue < open.queues.size(); ++queue) {
    xdp_->unbind(open.ifindex, queue);
  }
  open.queues.clear();
  xdp_->detach(open.ifindex);
}

Status PortSet::open_uplink(const config::Uplink& uplink) {
  if (!uplink.interface.empty()) {
    return open_xsk(kUplinkPort, uplink.interface, XdpRole::uplink, false);
  }
  Port::Info info;
  info.name = "uplink";
  info.mac = uplink.mac.value_or(MacAddress{});
  info.own_neighbours = true;
  auto device = Ethdev::open(uplink.device, info, room_.workers, buffers_);
  if (!device) {
    return device.error();
  }
  Open open{{}, uplink.device};
  for (unsigned queue = 0; queue < (*device)->queues(); ++queue) {
    open.queues.push_back(std::make_unique<PortEthdev>(*device, static_cast<uint16_t>(queue)));
  }
  open_[kUplinkPort] = std::move(open);
  return Ok{};
}

Status PortSet::open_host(const Link& our_end, const Link& kernel_end) {
  kernel_end_ = kernel_end.ifindex;
  return open_xsk(kHostPort, our_end.name, XdpRole::pod, true);
}

Status PortSet::take_node(bool on) {
  if (uplink_ifindex() == 0) {
    return Ok{};  // a device has no other way
  }
  if (!on) {
    Status s = xdp_->set_take_all(false);
    to_worker_.reset();
    return s;
  }
  if (to_worker_) {
    return Ok{};
  }
  Status s = xdp_->set_node_way({uplink_ifindex(), kernel_end_, open_.at(kHostPort).ifindex});
  // The one at the host port stays when the other goes: what is under way may still arrive.
  if (s && !from_worker_) {
    auto hook = TcHook::attach(xdp_->from_worker(), kernel_end_, TcHook::Side::ingress);
    s = hook ? Status{Ok{}} : Status{hook.error()};
    if (hook) {
      from_worker_.emplace(std::move(*hook));
    }
  }
  if (!s) {
    return s;
  }
  auto hook = TcHook::attach(xdp_->to_worker(), uplink_ifindex(), TcHook::Side::egress);
  if (!hook) {
    return hook.error();
  }
  to_worker_.emplace(std::move(*hook));
  return xdp_->set_take_all(true);
}

bool PortSet::sync(const std::vector<Pod>& pods) {
  check_uplink_queues();
  std::set<PortId> wanted;
  bool changed = false;
  refused_ = false;
  for (const Pod& pod : pods) {
    wanted.insert(pod.id);
    if (open_.contains(pod.id)) {
      continue;
    }
    std::string& complaint = complaints_[pod.interface];
    if (Status s = open_xsk(pod.id, pod.interface, XdpRole::pod, true); !s) {
      if (complaint != s.error().what) {
        spdlog::warn("pod port {}: {}{}{}", pod.interface, s.error().what,
                     s.error().hint.empty() ? "" : "; hint: ", s.error().hint);
      }
      complaint = s.error().what;
      refused_ = refused_ || if_nametoindex(pod.interface.c_str()) != 0;
      continue;
    }
    spdlog::info("pod port {} open", pod.interface);
    complaint.clear();
    changed = true;
  }
  for (auto& [id, open] : open_) {
    if (id >= kFirstPodPort && !wanted.contains(id) && !open.leaving) {
      open.leaving = true;
    }
    changed = changed || open.leaving;
  }
  return changed;
}

void PortSet::show(View& view) {
  const Generation& g = *view.generation;
  for (auto& [id, open] : open_) {
    open.shown = !open.leaving;
    const EndpointId pod = g.endpoint_at(id);
    const uint8_t of_all = pod == kNoEndpoint ? kHostWorker : g.endpoints[pod].worker;
    for (uint32_t queue = 0; open.shown && queue < open.queues.size(); ++queue) {
      view.serve(id, open.queues[queue].get(),
                 id == kUplinkPort ? static_cast<uint8_t>(queue % room_.workers) : of_all);
    }
  }
}

std::vector<PortId> PortSet::close_leaving() {
  std::vector<PortId> closed;
  for (auto it = open_.begin(); it != open_.end();) {
    if (!it->second.leaving || it->second.shown) {
      ++it;
      continue;
    }
    spdlog::info("pod port {} closed", it->second.interface);
    close(it->second);
    closed.push_back(it->first);
    it = open_.erase(it);
  }
  return closed;
}

void PortSet::set_ours(const std::vector<Ip4>& node_addresses, const std::vector<Prefix>& local,
                       XdpIp6 ip6) {
  for (const Status& s :
       {xdp_->set_node_addresses(node_addresses), xdp_->set_local(local), xdp_->set_ip6(ip6)}) {
    if (!s) {
      spdlog::error("uplink: {}", s.error().what);
    }
  }
}

void PortSet::link_changed(const Link& link, bool gone) {
  for (auto& [id, open] : open_) {
    if (open.ifindex == 0 || open.ifindex != link.ifindex) {
      continue;
    }
    for (const auto& queue : open.queues) {
      static_cast<PortXsk&>(*queue).set_up(!gone && link.up);
    }
    open.leaving = open.leaving || (gone && id >= kFirstPodPort);
  }
}

void PortSet::recheck_links() {
  for (const auto& [id, open] : open_) {
    if (open.ifindex == 0) {
      continue;
    }
    const auto link = netlink_.link(open.interface);
    const bool gone = link && (!*link || (*link)->ifindex != open.ifindex);
    if (gone) {
      Link old;
      old.ifindex = open.ifindex;
      link_changed(old, true);
    } else if (link) {
      link_changed(**link, false);
    }
  }
}

std::vector<PortName> PortSet::names() const {
  std::vector<PortName> out;
  for (const auto& [id, open] : open_) {
    uint64_t missed = 0;
    for (const auto& queue : open.queues) {
      missed += queue->missed();
    }
    out.push_back({id, open.queues.front()->info().name, missed});
  }
  return out;
}

const Port* PortSet::uplink() const {
  return open_.at(kUplinkPort).queues.front().get();
}

int PortSet::uplink_ifindex() const {
  const auto uplink = open_.find(kUplinkPort);
  return uplink == open_.end() ? 0 : uplink->second.ifindex;
}

}  // namespace sluice::control
