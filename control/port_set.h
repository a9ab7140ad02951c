// SPDX-License-Identifier: Apache-2.0
// The ports that are open: the uplink, the host port, and one for each local pod whose
// interface exists.  Opens and closes them as pods come and go; owns the XDP program that feeds
// the AF_XDP ones.
//
// Control thread only.  A port that was withdrawn from the View must only be closed when
// Published is settled: close_leaving() is a step of its own.
#ifndef SLUICE_CONTROL_PORT_SET_H_
#define SLUICE_CONTROL_PORT_SET_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "control/netlink.h"
#include "control/report.h"
#include "control/tc_hook.h"
#include "fastpath/buffers.h"
#include "fastpath/port.h"
#include "fastpath/tables.h"
#include "fastpath/view.h"
#include "fastpath/xdp.h"

namespace sluice::control {

class PortSet {
 public:
  // What is fixed at start.  The kernel keeps about 150 bytes for every buffer and socket, so
  // rings are the shorter, the more pods and queues of the uplink there are: 128 pods and one
  // queue take 190 MiB here and 12 MiB each in the kernel; with 16 queues, 243 and 15.
  struct Room {
    uint32_t workers = 1;
    uint32_t pods = 0;            // as many can be open
    uint32_t pod_ring = 0;        // frames
    uint32_t uplink_ring = 2048;  // of each of its queues
    uint32_t buffers = 0;
  };
  // For `pods` that are there now, those that will come, and the queues of the uplink, a
  // device's of which are as many as workers.  Fails when the uplink is unfit.
  static Result<Room> room_for(uint32_t pods, const config::Uplink& uplink, uint32_t workers);

  PortSet(const Room& room, Buffers& buffers, Netlink& netlink)
      : room_(room), buffers_(buffers), netlink_(netlink) {}
  ~PortSet();
  PortSet(const PortSet&) = delete;
  PortSet& operator=(const PortSet&) = delete;

  // The programs that feed the ports; before any is opened.  Pins of an earlier process are
  // looked for in `pins`.
  Status load(const std::string& pins);
  // Whether the programs stay attached, and drop, when this process has ended.
  Status keep(bool on) { return xdp_->keep(on); }

  Status open_uplink(const config::Uplink& uplink);
  Status open_host(const Link& our_end, const Link& kernel_end);

  // Whether what the node itself receives and sends by an uplink of the kernel's goes through
  // the workers.  REQUIRES: uplink and host port are open; to begin, the workers run.
  Status take_node(bool on);

  struct Pod {
    PortId id = kNoPort;
    std::string interface;
  };
  // Opens what is new in `pods` and there; marks what is no longer in `pods`, or whose
  // interface has gone, as leaving.  True if anything changed.  Pods whose interface is missing
  // or refused are logged once and tried again at the next call.
  bool sync(const std::vector<Pod>& pods);
  // Did the last sync() leave out a pod though its interface is there?  What refused it may end
  // without a word: a queue that the kernel frees late, or that another process gives up.
  bool refused() const { return refused_; }
  // Enters the queues that the next View may show: a pod's are its endpoint's worker's, the
  // uplink's are everybody's in turn.  REQUIRES: view.generation.
  void show(View& view);
  // Closes the leaving ports that the last show() left out, and says which.  REQUIRES: no
  // worker can see what was shown before that.
  std::vector<PortId> close_leaving();

  // What the uplink's XDP program takes from the kernel: IPIP to these, these destinations, and
  // what `ip6` says.
  void set_ours(const std::vector<Ip4>& node_addresses, const std::vector<Prefix>& local,
                XdpIp6 ip6);
  void link_changed(const Link& link, bool gone);
  // Asks for the link of every open port, as if it had changed.
  void recheck_links();

  std::vector<PortName> names() const;
  const Port* uplink() const;
  int uplink_ifindex() const;  // 0: not a kernel interface

 private:
  struct Open {
    std::vector<std::unique_ptr<Port>> queues;  // by the kernel's number
    std::string interface;
    int ifindex = 0;  // 0: not a kernel interface
    bool leaving = false;
    bool shown = false;  // by the last show()
  };

  Result<uint32_t> queues_for(PortId id, const std::string& name) const;
  void check_uplink_queues();
  Status open_xsk(PortId id, const std::string& name, XdpRole role, bool pod);
  void close(Open& open);

  Room room_;
  Buffers& buffers_;
  Netlink& netlink_;
  std::unique_ptr<Xdp> xdp_;
  int kernel_end_ = 0;  // of the host port, by index
  std::optional<TcHook> from_worker_, to_worker_;
  std::map<PortId, Open> open_;
  bool refused_ = false;
  std::map<std::string, std::string> complaints_;  // interface -> what was logged last
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_PORT_SET_H_
