// SPDX-License-Identifier: Apache-2.0
// A port on one receive and one transmit queue of a DPDK ethdev.
//
// Control opens and closes; in between one worker uses the queue (see port.h).
#ifndef SLUICE_FASTPATH_PORT_ETHDEV_H_
#define SLUICE_FASTPATH_PORT_ETHDEV_H_

#include <memory>
#include <utility>

#include "fastpath/ethdev.h"
#include "fastpath/port.h"

namespace sluice {

class PortEthdev final : public Port {
 public:
  // REQUIRES: queue < device->queues().
  PortEthdev(std::shared_ptr<const Ethdev> device, uint16_t queue)
      : Port(device->info()),
        device_(std::move(device)),
        port_(device_->port()),
        queue_(queue) {}

  unsigned receive(std::span<rte_mbuf*> out) noexcept override {
    return rte_eth_rx_burst(port_, queue_, out.data(), static_cast<uint16_t>(out.size()));
  }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    return rte_eth_tx_burst(port_, queue_, frames.data(), static_cast<uint16_t>(frames.size()));
  }
  bool up() const noexcept override { return device_->up(); }
  // The device counts for all its queues: the first tells.
  uint64_t missed() const noexcept override { return queue_ == 0 ? device_->missed() : 0; }

 private:
  std::shared_ptr<const Ethdev> device_;
  uint16_t port_;
  uint16_t queue_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PORT_ETHDEV_H_
