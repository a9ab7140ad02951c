// SPDX-License-Identifier: Apache-2.0
// A port on a DPDK ethdev: a NIC bound to a DPDK driver, or any virtual device by its devargs.
//
// Control opens and closes; in between one worker uses queue 0 (see port.h).  The device
// receives into the pool of Buffers; a NIC on PCI has the region registered for DMA.
// Bounds: one receive and one transmit queue; Debian's DPDK holds 32 ethdevs.
// Source: DPDK 22.11 programmer's guide, "Poll Mode Driver".
#ifndef SLUICE_FASTPATH_PORT_ETHDEV_H_
#define SLUICE_FASTPATH_PORT_ETHDEV_H_

#include <atomic>
#include <memory>
#include <string>

#include "classifier/result.h"
#include "fastpath/buffers.h"
#include "fastpath/port.h"

namespace sluice {

class PortEthdev final : public Port {
 public:
  // `device` is a PCI address or devargs such as "net_memif0,role=client".  The MTU is the
  // device's; info.mac, if zero, becomes the device's.  Fails, naming the device, when it
  // cannot be probed, set up or started, or its MTU exceeds kMaxMtu.  `buffers` must outlive
  // the port.  REQUIRES: EAL is up, and knows the PCI device.
  static Result<std::unique_ptr<PortEthdev>> open(const std::string& device, Info info,
                                                  Buffers& buffers);
  ~PortEthdev() override;

  unsigned receive(std::span<rte_mbuf*> out) noexcept override;
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override;
  bool up() const noexcept override { return up_.load(std::memory_order_relaxed); }
  uint64_t missed() const noexcept override;

 private:
  PortEthdev(std::string device, Info info, Buffers& buffers)
      : Port(std::move(info)), device_(std::move(device)), buffers_(buffers) {}
  Status probe();
  Status set_up_queues();
  Status take_address();
  Status start();
  Status map_for_dma();
  Error failed(const char* step, int error) const;

  std::string device_;
  Buffers& buffers_;
  uint16_t port_ = kNone;
  bool started_ = false;
  bool watches_link_ = false;
  bool mapped_ = false;
  std::atomic<bool> up_{true};
  static constexpr uint16_t kNone = 0xffff;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PORT_ETHDEV_H_
