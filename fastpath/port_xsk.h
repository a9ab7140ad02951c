// SPDX-License-Identifier: Apache-2.0
// A port on a kernel interface: one AF_XDP socket on one queue, with its own four rings.
//
// The socket's UMEM is the region of Buffers, so a frame that one socket received is sent by
// another without a copy of ours.  Each port registers the region itself: sockets that share a
// registration need the first one to stay bound, and pods come and go in any order.
//
// Control opens and closes; in between one worker calls receive and transmit (see port.h).  A
// frame that the kernel holds carries the port's mark in mbuf->port, so that closing returns
// every one, also those which are in no ring.
// Source: Documentation/networking/af_xdp.rst, libxdp's xsk.h.
#ifndef SLUICE_FASTPATH_PORT_XSK_H_
#define SLUICE_FASTPATH_PORT_XSK_H_

#include <atomic>
#include <memory>
#include <string>

#include <xdp/xsk.h>

#include "classifier/result.h"
#include "fastpath/buffers.h"
#include "fastpath/port.h"

namespace sluice {

class PortXsk final : public Port {
 public:
  struct Options {
    int ifindex = 0;
    std::string interface;  // its name in our network namespace
    uint32_t queue = 0;
    uint32_t ring_size = 1024;  // of each ring; a power of two
  };

  // Opens the socket and gives the kernel `ring_size` buffers to receive into.  Frames arrive
  // once Xdp::bind() has been told wait_fd().  Fails when the queue has a socket already, the
  // interface is gone, rights are missing or `buffers` runs short.  Waits at most 200 ms for a
  // queue that was closed just now.  `buffers` must outlive the port.
  static Result<std::unique_ptr<PortXsk>> open(Info info, const Options& options,
                                               Buffers& buffers);
  // Waits at most 200 ms for frames under way; returns every frame to `buffers`.
  ~PortXsk() override;

  unsigned receive(std::span<rte_mbuf*> out) noexcept override;
  // Takes single-segment frames only: stops at the first other one.
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override;
  bool busy() const noexcept override { return kick_again_ || hungry_; }
  bool up() const noexcept override { return up_.load(std::memory_order_relaxed); }
  int wait_fd() const noexcept override;
  // Frames dropped for want of buffers or of room in the receive ring.  A system call.
  uint64_t missed() const noexcept override;

  // Control tells what netlink says of the link.
  void set_up(bool up) noexcept { up_.store(up, std::memory_order_relaxed); }

 private:
  PortXsk(Info info, const Options& options, Buffers& buffers);
  Status create_socket();
  void look_after() noexcept;
  void refill() noexcept;
  void drain_completions() noexcept;
  void kick() noexcept;
  void reclaim() noexcept;
  uint64_t chunk(const rte_mbuf* frame) const noexcept;
  rte_mbuf* frame_at(uint64_t address) const noexcept;

  // A poll that finds nothing, with nothing to do, reads this line and what rx_ points to.
  alignas(64) xsk_ring_cons rx_{};
  uint32_t in_flight_ = 0;    // sent and not completed
  uint32_t lent_ = 0;         // buffers to receive into, less what was received
  bool kick_again_ = false;   // the kernel left frames in the transmit ring
  bool hungry_ = false;       // the kernel has fewer buffers than it may
  bool drivers_own_ = false;  // zero-copy: the driver takes buffers when it likes, and may wait
  uint16_t mark_ = 0;         // what mbuf->port says while the kernel holds the frame

  xsk_ring_prod fill_{};
  xsk_ring_prod tx_{};
  xsk_ring_cons completed_{};
  Options options_;
  Buffers& buffers_;
  xsk_umem* umem_ = nullptr;
  xsk_socket* socket_ = nullptr;
  std::atomic<bool> up_{true};
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PORT_XSK_H_
