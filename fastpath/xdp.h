// SPDX-License-Identifier: Apache-2.0
// The XDP programs that feed the AF_XDP sockets, and the maps that steer them; and two programs
// for tc, which lead the node's own traffic past the workers (control attaches those).
//
// One object per daemon, owned and used by control's thread only; the kernel reads the maps per
// packet.  Programs are attached through BPF links held by descriptors: when the process ends,
// however it ends, the kernel detaches them - unless keep_in() has pinned the links: then they
// stay, and with no socket left they drop what is ours.  An earlier process's pinned link is
// taken over without a gap; an interface that runs any other XDP program is refused.
// Bounds: 1024 queues, 1024 node addresses, 65536 prefixes of each family.  What is neither
// IPv4 nor IPv6 is the kernel's.
// Source: Documentation/networking/af_xdp.rst; sluice_xdp.bpf.c.
#ifndef SLUICE_FASTPATH_XDP_H_
#define SLUICE_FASTPATH_XDP_H_

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "classifier/result.h"
#include "classifier/types.h"

struct bpf_object;

namespace sluice {

enum class XdpRole : uint8_t {
  pod,     // every frame is ours
  uplink,  // IPIP to a node address, ICMP 3/4 about IPIP, and packets to `local` are ours; see
           // set_take_all
};

// What becomes of the uplink's IPv6 that is not for `local`.
enum class XdpIp6 : uint8_t {
  kernel,   // it is the kernel's; so at first
  carried,  // it goes the way of IPv4
  dropped,  // all is handed over, discovery included, for workers to drop
};

class Xdp {
 public:
  // Loads the programs into the kernel.  Needs CAP_BPF and CAP_NET_ADMIN.
  static Result<std::unique_ptr<Xdp>> load();
  ~Xdp();  // detaches all
  Xdp(const Xdp&) = delete;
  Xdp& operator=(const Xdp&) = delete;

  // Where pinned links are: a BPF file system, or a directory that is not there.
  void set_pin_directory(std::string directory) { pins_ = std::move(directory); }
  // Pins what is attached now and from now on (or unpins it), and lets go of pins that no
  // attach() has taken over.
  Status keep(bool on);

  // Native mode, or generic if the driver cannot.  Fails when another program is attached.
  Status attach(int ifindex, XdpRole role);
  // True when the interface runs in generic mode (slower: the kernel builds an skb first).
  bool generic(int ifindex) const;
  void detach(int ifindex);  // nothing if it is not attached

  // Frames of (ifindex, queue) go to the AF_XDP socket from now on.
  Status bind(int ifindex, uint32_t queue, int socket_fd);
  void unbind(int ifindex, uint32_t queue);

  // Replace what is ours on the uplink; only the difference goes to the kernel.
  Status set_node_addresses(const std::vector<Ip4>& addresses);
  Status set_local(const std::vector<Prefix>& prefixes);

  // By index; see sluice_xdp.bpf.c for the ways between them.
  struct NodeWay {
    int uplink = 0;
    int kernel_end = 0;  // of the host port
    int worker_end = 0;
  };
  Status set_node_way(const NodeWay& way);
  // The uplink and the tc programs hand over all unicast IP, but what is of the link only;
  // off at first.  With no socket it
  // passes; other frames of ours are dropped then.
  Status set_take_all(bool all);
  // With no socket, what is not ours passes.
  Status set_ip6(XdpIp6 mode);
  // Descriptors of the tc programs; ours to close.
  int from_worker() const;  // for the kernel end's ingress
  int to_worker() const;    // for the uplink's egress

 private:
  struct Attached {
    int link_fd = -1;
    bool generic = false;
  };
  struct QueueKey {  // as in sluice_xdp.bpf.c
    uint32_t ifindex;
    uint32_t queue;
    friend auto operator<=>(const QueueKey&, const QueueKey&) = default;
  };

  Xdp() = default;
  int map_fd(const char* name) const;
  int program_fd(const char* name) const;
  std::string pin_of(int ifindex) const;
  int take_over(int ifindex, uint32_t attached, int program) const;
  Status pin(int ifindex) const;
  Status set(uint32_t setting, uint32_t value);

  bpf_object* object_ = nullptr;
  std::string pins_;
  bool keep_ = false;
  std::map<int, Attached> attached_;
  std::map<QueueKey, uint32_t> slots_;
  std::set<Ip4> nodes_;
  std::set<Prefix> local_, local6_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_XDP_H_
