// SPDX-License-Identifier: Apache-2.0
// A DPDK ethdev, found, set up and started: a NIC bound to a DPDK driver, or any virtual device
// by its devargs.  Its queues are ports (port_ethdev.h).
//
// Control opens it; it closes when the last of its queues' ports has gone.  The device receives
// into the pool of Buffers; a NIC on PCI has the region registered for DMA.
// Bounds: Debian's DPDK holds 32 ethdevs.
// Source: DPDK 22.11 programmer's guide, "Poll Mode Driver".
#ifndef SLUICE_FASTPATH_ETHDEV_H_
#define SLUICE_FASTPATH_ETHDEV_H_

#include <atomic>
#include <memory>
#include <string>

#include <rte_ethdev.h>

#include "classifier/result.h"
#include "fastpath/buffers.h"
#include "fastpath/port.h"

namespace sluice {

class Ethdev {
 public:
  static constexpr uint16_t kQueueFrames = 1024;  // of each queue, each way

  // `device` is a PCI address or devargs such as "net_memif0,role=client".  The MTU is the
  // device's; info.mac, if zero, becomes the device's.  It gets `queues` queues each way where
  // it spreads flows over them (RSS) and has as many, fewer otherwise, one at least.  Fails,
  // naming the device, when it cannot be probed, set up or started, or its MTU exceeds kMaxMtu.
  // `buffers` must outlive it.  REQUIRES: EAL is up, and knows the PCI device.
  static Result<std::shared_ptr<Ethdev>> open(const std::string& device, Port::Info info,
                                              unsigned queues, Buffers& buffers);
  ~Ethdev();
  Ethdev(const Ethdev&) = delete;
  Ethdev& operator=(const Ethdev&) = delete;

  uint16_t port() const { return port_; }  // DPDK's number
  unsigned queues() const { return queues_; }
  const Port::Info& info() const { return info_; }
  bool up() const noexcept { return up_.load(std::memory_order_relaxed); }
  // Of all queues.
  uint64_t missed() const noexcept;

 private:
  Ethdev(std::string device, Port::Info info, unsigned queues, Buffers& buffers)
      : device_(std::move(device)),
        info_(std::move(info)),
        queues_(queues),
        buffers_(buffers) {}
  Status probe();
  Status configure();
  rte_eth_conf settings_for(const rte_eth_dev_info& info);
  Status take_address();
  Status start();
  Status map_for_dma();
  Error failed(const char* step, int error) const;

  std::string device_;
  Port::Info info_;
  unsigned queues_;
  Buffers& buffers_;
  uint16_t port_ = kNone;
  bool started_ = false;
  bool watches_link_ = false;
  bool mapped_ = false;
  std::atomic<bool> up_{true};
  static constexpr uint16_t kNone = 0xffff;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_ETHDEV_H_
