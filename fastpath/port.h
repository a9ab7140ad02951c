// SPDX-License-Identifier: Apache-2.0
// A port: where frames come from and go to.  One interface for DPDK ethdevs, AF_XDP sockets
// and captures; the pipeline and the worker know nothing else of them.
//
// Control opens and closes ports.  After it is published a port belongs to exactly one worker,
// which alone calls receive, transmit and the rest until the port is withdrawn and the worker
// has passed a quiescent point.  Counters are written by that worker and read by anyone.
// Indirect calls happen once per burst, never per packet.
#ifndef SLUICE_FASTPATH_PORT_H_
#define SLUICE_FASTPATH_PORT_H_

#include <cstdint>
#include <span>
#include <string>

#include "classifier/types.h"

struct rte_mbuf;

namespace sluice {

inline constexpr unsigned kMaxBurst = 64;
inline constexpr uint16_t kEtherMtu = 1500;

class Port {
 public:
  struct Info {
    std::string name;          // interface name, or "uplink"
    MacAddress mac;            // our own address on this port
    uint16_t mtu = kEtherMtu;  // largest L3 packet
    // Frames may carry L4 checksums that the kernel left unfinished (veth).
    bool unfinished_checksums = false;
    // Nobody else speaks ARP on this port: the pipeline resolves and answers.
    bool own_neighbours = false;
    // The host port beside an uplink of the kernel's: a frame to another MAC than ours is one
    // that the kernel was sending to that neighbour by the uplink.
    bool kernel_routes = false;
  };

  explicit Port(Info info) : info_(std::move(info)) {}
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // Fills at most out.size() (<= kMaxBurst) frames; each is one mbuf, data at the Ethernet
  // header.  Returns how many.  The caller owns them.
  virtual unsigned receive(std::span<rte_mbuf*> out) noexcept = 0;

  // Hands over frames, at most kMaxBurst, with at most one system call.  Returns how many were
  // taken, always the first ones; the port frees those.  The caller keeps the rest.
  virtual unsigned transmit(std::span<rte_mbuf*> frames) noexcept = 0;

  // Does something wait for the next receive()?  What was taken is not all on its way, say.
  virtual bool busy() const noexcept { return false; }
  // True while the device behind the port is there and up.  Read from any thread.
  virtual bool up() const noexcept { return true; }
  // A descriptor that becomes readable when frames wait, or -1: poll it by time instead.
  virtual int wait_fd() const noexcept { return -1; }
  // Frames the device dropped because we were slow (rx_missed).  Read from any thread.
  virtual uint64_t missed() const noexcept { return 0; }

  const Info& info() const { return info_; }

 protected:
  Info info_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PORT_H_
