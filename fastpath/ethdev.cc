// SPDX-License-Identifier: Apache-2.0
// rte_dev_dma_map is not of the stable ABI in 22.11.
#include "fastpath/ethdev.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <unistd.h>

namespace sluice {
namespace {

// The part of devargs that names the device.
std::string name_of(const std::string& device) {
  return device.substr(0, device.find(','));
}

// EAL's interrupt thread calls it; `up` is the port's std::atomic<bool>.
int on_link_change(uint16_t port, rte_eth_event_type, void* up, void*) {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(port, &link) == 0) {
    static_cast<std::atomic<bool>*>(up)->store(link.link_status == RTE_ETH_LINK_UP,
                                               std::memory_order_relaxed);
  }
  return 0;
}

}  // namespace

Error Ethdev::failed(const char* step, int error) const {
  return Error{"device \"" + device_ + "\": " + step + ": " + rte_strerror(error)};
}

Result<std::shared_ptr<Ethdev>> Ethdev::open(const std::string& device, Port::Info info,
                                             unsigned queues, Buffers& buffers) {
  std::shared_ptr<Ethdev> opened(new Ethdev(device, std::move(info), queues, buffers));
  for (const auto step :
       {&Ethdev::probe, &Ethdev::configure, &Ethdev::take_address, &Ethdev::start}) {
    if (Status s = (opened.get()->*step)(); !s) {
      return s.error();
    }
  }
  return opened;
}

Status Ethdev::probe() {
  uint16_t port = kNone;
  // EAL's start has found a PCI device already.
  if (rte_eth_dev_get_port_by_name(name_of(device_).c_str(), &port) != 0) {
    if (const int error = rte_dev_probe(device_.c_str()); error != 0) {
      Error e = failed("cannot be probed", -error);
      e.hint =
          "a PCI address must be bound to vfio-pci (dpdk-devbind.py -s); a virtual device "
          "is named by its driver and a number, such as net_memif0,role=client";
      return e;
    }
    if (rte_eth_dev_get_port_by_name(name_of(device_).c_str(), &port) != 0) {
      return failed("is no Ethernet device", ENODEV);
    }
  }
  port_ = port;
  return map_for_dma();
}

// Virtual devices copy with the CPU; a NIC must reach the region by itself.
Status Ethdev::map_for_dma() {
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(port_, &info); error != 0) {
    return failed("gives no information", -error);
  }
  const rte_bus* bus = info.device == nullptr ? nullptr : rte_bus_find_by_device(info.device);
  if (bus == nullptr || std::strcmp(rte_bus_name(bus), "pci") != 0) {
    // What a kernel on this machine sent into it (net_af_xdp on a veth) never met a NIC.
    info_.unfinished_checksums = true;
    return Ok{};
  }
  const auto page =
      static_cast<size_t>(buffers_.huge_pages() ? 2u << 20 : sysconf(_SC_PAGESIZE));
  if (rte_extmem_register(buffers_.region(), buffers_.region_bytes(), nullptr, 0, page) != 0 &&
      rte_errno != EEXIST) {
    return failed("packet memory cannot be registered", rte_errno);
  }
  const auto iova = reinterpret_cast<uintptr_t>(buffers_.region());
  if (const int error =
          rte_dev_dma_map(info.device, buffers_.region(), iova, buffers_.region_bytes());
      error != 0 && rte_errno != ENOTSUP && rte_errno != EEXIST) {
    return failed("packet memory cannot be mapped for DMA", rte_errno);
  }
  mapped_ = true;
  return Ok{};
}

// Spreading flows over queues takes a device that hashes them.
rte_eth_conf Ethdev::settings_for(const rte_eth_dev_info& info) {
  constexpr uint64_t kFlows =
      RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
  rte_eth_conf conf{};
  conf.rxmode.mtu = info_.mtu;
  // To virtio the same wish says that it may leave checksums unfinished.
  if (std::string_view(info.driver_name) != "net_virtio") {
    conf.rxmode.offloads =
        info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
  }
  const uint64_t hashes = info.flow_type_rss_offloads & kFlows;
  queues_ =
      hashes == 0
          ? 1
          : std::min({queues_, unsigned{info.max_rx_queues}, unsigned{info.max_tx_queues}});
  if (queues_ > 1) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = hashes;
  }
  watches_link_ = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
  conf.intr_conf.lsc = watches_link_ ? 1 : 0;
  return conf;
}

Status Ethdev::configure() {
  if (const int error = rte_eth_dev_get_mtu(port_, &info_.mtu); error != 0) {
    return failed("gives no mtu", -error);
  }
  if (info_.mtu > kMaxMtu) {
    return Error{"device \"" + device_ + "\": mtu " + std::to_string(info_.mtu) + " exceeds " +
                     std::to_string(kMaxMtu) + ", what a buffer holds",
                 "set an mtu of 1500 on the device"};
  }
  rte_eth_dev_info info{};
  rte_eth_dev_info_get(port_, &info);
  const rte_eth_conf conf = settings_for(info);
  const auto count = static_cast<uint16_t>(queues_);
  if (const int error = rte_eth_dev_configure(port_, count, count, &conf); error != 0) {
    return failed("cannot be configured", -error);
  }
  uint16_t rx_frames = kQueueFrames;
  uint16_t tx_frames = kQueueFrames;
  rte_eth_dev_adjust_nb_rx_tx_desc(port_, &rx_frames, &tx_frames);
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(port_));
  for (uint16_t queue = 0; queue < count; ++queue) {
    if (const int error =
            rte_eth_rx_queue_setup(port_, queue, rx_frames, socket, nullptr, buffers_.pool());
        error != 0) {
      return failed("receive queue is refused", -error);
    }
    if (const int error = rte_eth_tx_queue_setup(port_, queue, tx_frames, socket, nullptr);
        error != 0) {
      return failed("transmit queue is refused", -error);
    }
  }
  return Ok{};
}

Status Ethdev::take_address() {
  rte_ether_addr own{};
  if (const int error = rte_eth_macaddr_get(port_, &own); error != 0) {
    return failed("gives no MAC address", -error);
  }
  static_assert(sizeof(own) == sizeof(info_.mac));
  if (info_.mac.is_zero()) {
    std::memcpy(info_.mac.bytes, own.addr_bytes, sizeof(info_.mac.bytes));
    return Ok{};
  }
  if (std::memcmp(&info_.mac, &own, sizeof(own)) == 0) {
    return Ok{};
  }
  std::memcpy(&own, &info_.mac, sizeof(own));
  // A device that keeps its own address must hear all, to hear ours.
  if (rte_eth_dev_default_mac_addr_set(port_, &own) != 0) {
    if (const int error = rte_eth_promiscuous_enable(port_); error != 0) {
      return failed("neither takes our MAC address nor hears all", -error);
    }
  }
  return Ok{};
}

Status Ethdev::start() {
  if (const int error = rte_eth_dev_start(port_); error != 0) {
    return failed("does not start", -error);
  }
  started_ = true;
  if (watches_link_) {
    rte_eth_dev_callback_register(port_, RTE_ETH_EVENT_INTR_LSC, on_link_change, &up_);
    on_link_change(port_, RTE_ETH_EVENT_INTR_LSC, &up_, nullptr);
  }
  return Ok{};
}

Ethdev::~Ethdev() {
  if (port_ == kNone) {
    return;
  }
  rte_eth_dev_info info{};
  const bool known = rte_eth_dev_info_get(port_, &info) == 0;
  if (watches_link_) {
    rte_eth_dev_callback_unregister(port_, RTE_ETH_EVENT_INTR_LSC, on_link_change, &up_);
  }
  if (started_) {
    rte_eth_dev_stop(port_);
  }
  if (mapped_ && known) {
    const auto iova = reinterpret_cast<uintptr_t>(buffers_.region());
    rte_dev_dma_unmap(info.device, buffers_.region(), iova, buffers_.region_bytes());
    rte_extmem_unregister(buffers_.region(), buffers_.region_bytes());
  }
  rte_eth_dev_close(port_);
  if (known && info.device != nullptr) {
    rte_dev_remove(info.device);
  }
}

uint64_t Ethdev::missed() const noexcept {
  rte_eth_stats stats{};
  return rte_eth_stats_get(port_, &stats) == 0 ? stats.imissed + stats.rx_nombuf : 0;
}

}  // namespace sluice
