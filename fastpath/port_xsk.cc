// SPDX-License-Identifier: Apache-2.0
#include "fastpath/port_xsk.h"

#include <algorithm>
#include <bitset>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <linux/if_xdp.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

namespace sluice {
namespace {

constexpr uint32_t kRefillBatch = 32;
constexpr int kPatienceMs = 200;
constexpr int kMaxTxBudgetOption = 9;   // XDP_MAX_TX_SKB_BUDGET, newer than Debian's headers
constexpr uint32_t kXdpHeadroom = 256;  // XDP_PACKET_HEADROOM: holds the headers
constexpr uint64_t kAddressMask = XSK_UNALIGNED_BUF_ADDR_MASK;

// Marks lie above DPDK's own port numbers and below RTE_MBUF_PORT_INVALID.
constexpr uint16_t kFirstMark = 1024;
constexpr size_t kMaxSockets = 4096;
// Which marks are taken.  Control thread only.
std::bitset<kMaxSockets> marks_taken;

uint16_t take_mark() {
  for (size_t i = 0; i < kMaxSockets; ++i) {
    if (!marks_taken[i]) {
      marks_taken.set(i);
      return static_cast<uint16_t>(kFirstMark + i);
    }
  }
  return 0;
}

void pause_1ms() {
  const timespec pause{0, 1000000};
  nanosleep(&pause, nullptr);
}

std::string hint_for(int error) {
  switch (error) {
    case EBUSY:
      return "another AF_XDP socket holds the queue; `ss --xdp -a -p` names the process";
    case EPERM:
      return "run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK";
    case ENOBUFS:
    case ENOMEM:
      return "the locked-memory limit is reached: ulimit -l unlimited";
    case EINVAL:
      return "the interface has no such queue: `ethtool -l` shows how many there are";
    default:
      return {};
  }
}

}  // namespace

PortXsk::PortXsk(Info info, const Options& options, Buffers& buffers)
    : Port(std::move(info)), options_(options), buffers_(buffers) {}

Result<std::unique_ptr<PortXsk>> PortXsk::open(Info info, const Options& options,
                                               Buffers& buffers) {
  std::unique_ptr<PortXsk> port(new PortXsk(std::move(info), options, buffers));
  if (Status s = port->create_socket(); !s) {
    return s.error();
  }
  const int fd = port->wait_fd();
  xdp_options mode{};
  socklen_t length = sizeof(mode);
  port->drivers_own_ = getsockopt(fd, SOL_XDP, XDP_OPTIONS, &mode, &length) == 0 &&
                       (mode.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  // By default one send moves 32 frames and 208 KiB may be under way: make room for a burst.
  const int budget = 2 * kMaxBurst;
  setsockopt(fd, SOL_XDP, kMaxTxBudgetOption, &budget, sizeof(budget));
  const int send_bytes = static_cast<int>(options.ring_size * 4096);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_bytes, sizeof(send_bytes));
  while (xsk_prod_nb_free(&port->fill_, kRefillBatch) >= kRefillBatch) {
    const uint32_t before = port->fill_.cached_prod;
    port->refill();
    if (port->fill_.cached_prod == before) {
      return Error{"interface \"" + options.interface + "\": the packet buffers are used up",
                   "they are sized at start for the pods there are then: restart to make room"};
    }
  }
  return port;
}

Status PortXsk::create_socket() {
  const auto refused = [this](const char* step, int error) {
    return Error{"interface \"" + options_.interface + "\" queue " +
                     std::to_string(options_.queue) + ": " + step + ": " +
                     std::generic_category().message(error),
                 hint_for(error)};
  };
  mark_ = take_mark();
  if (mark_ == 0) {
    return Error{"interface \"" + options_.interface + "\": " + std::to_string(kMaxSockets) +
                 " AF_XDP sockets are open, the limit"};
  }
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);  // best effort: matters without CAP_IPC_LOCK only
  xsk_umem_config memory{};
  memory.fill_size = options_.ring_size;
  memory.comp_size = options_.ring_size;
  memory.frame_size = buffers_.element_bytes();
  memory.frame_headroom = RTE_PKTMBUF_HEADROOM;
  memory.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG;
  int error = xsk_umem__create(&umem_, buffers_.region(), buffers_.region_bytes(), &fill_,
                               &completed_, &memory);
  if (error != 0) {
    umem_ = nullptr;
    return refused("packet memory is refused", -error);
  }
  xsk_socket_config config{};
  config.rx_size = options_.ring_size;
  config.tx_size = options_.ring_size;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = XDP_USE_NEED_WAKEUP;
  for (int waited = 0;; ++waited) {
    error = xsk_socket__create_shared(&socket_, options_.interface.c_str(), options_.queue,
                                      umem_, &rx_, &tx_, &fill_, &completed_, &config);
    // The kernel frees a closed socket's queue a moment later.
    if (error != -EBUSY || waited >= kPatienceMs) {
      break;
    }
    pause_1ms();
  }
  if (error != 0) {
    socket_ = nullptr;
    return refused("AF_XDP socket is refused", -error);
  }
  return Ok{};
}

PortXsk::~PortXsk() {
  if (socket_ != nullptr) {
    for (int waited = 0; in_flight_ != 0 && waited < kPatienceMs; ++waited) {
      drain_completions();
      if (in_flight_ != 0) {
        kick();
        pause_1ms();
      }
    }
    xsk_socket__delete(socket_);
  }
  if (umem_ != nullptr) {
    xsk_umem__delete(umem_);  // closes the last descriptor: the kernel lets go of all frames
  }
  if (mark_ != 0) {
    reclaim();
    marks_taken.reset(size_t{mark_} - kFirstMark);
  }
}

// Frames are in rings or in lists of the kernel's that no ring shows; the mark tells them all.
void PortXsk::reclaim() noexcept {
  char* at = static_cast<char*>(buffers_.region()) + buffers_.pool()->header_size;
  for (uint32_t i = 0; i < buffers_.count(); ++i, at += buffers_.element_bytes()) {
    auto* frame = reinterpret_cast<rte_mbuf*>(at);
    if (frame->port == mark_) {
      frame->port = RTE_MBUF_PORT_INVALID;
      rte_pktmbuf_free(frame);
    }
  }
}

int PortXsk::wait_fd() const noexcept {
  return xsk_socket__fd(socket_);
}

uint64_t PortXsk::missed() const noexcept {
  xdp_statistics statistics{};
  socklen_t length = sizeof(statistics);
  if (getsockopt(wait_fd(), SOL_XDP, XDP_STATISTICS, &statistics, &length) != 0) {
    return 0;
  }
  // rx_fill_ring_empty_descs counts again what rx_dropped has.
  return statistics.rx_dropped + statistics.rx_ring_full;
}

uint64_t PortXsk::chunk(const rte_mbuf* frame) const noexcept {
  return reinterpret_cast<uintptr_t>(frame) - reinterpret_cast<uintptr_t>(buffers_.region()) -
         buffers_.pool()->header_size;
}

rte_mbuf* PortXsk::frame_at(uint64_t address) const noexcept {
  return reinterpret_cast<rte_mbuf*>(static_cast<char*>(buffers_.region()) +
                                     (address & kAddressMask) + buffers_.pool()->header_size);
}

unsigned PortXsk::receive(std::span<rte_mbuf*> out) noexcept {
  uint32_t at = 0;
  const unsigned n = xsk_ring_cons__peek(&rx_, static_cast<uint32_t>(out.size()), &at);
  if (n == 0) {
    if (in_flight_ != 0 || kick_again_ || hungry_ || drivers_own_) {
      look_after();
    }
    return 0;
  }
  for (unsigned i = 0; i < n; ++i) {
    const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&rx_, at + i);
    rte_mbuf* frame = frame_at(descriptor->addr);
    rte_pktmbuf_reset(frame);
    frame->data_off = static_cast<uint16_t>(
        (descriptor->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT) - kXdpHeadroom);
    frame->data_len = static_cast<uint16_t>(descriptor->len);
    frame->pkt_len = descriptor->len;
    out[i] = frame;
  }
  xsk_ring_cons__release(&rx_, n);
  lent_ -= n;
  refill();
  if (kick_again_) {
    kick();
  }
  return n;
}

// What the rings want between two bursts.
void PortXsk::look_after() noexcept {
  if (hungry_ || drivers_own_) {
    refill();
  }
  if (in_flight_ != 0) {
    drain_completions();
  }
  if (kick_again_) {
    kick();
  }
  if (drivers_own_ && xsk_ring_prod__needs_wakeup(&fill_)) {
    recvfrom(wait_fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
  }
}

// Gives the kernel buffers while a batch fits, at most two bursts a call.  When the pool is
// empty the ring runs dry and the kernel counts what it drops: see missed().
void PortXsk::refill() noexcept {
  for (unsigned given = 0; given < 2 * kMaxBurst; given += kRefillBatch) {
    void* frames[kRefillBatch];
    uint32_t at = 0;
    if (xsk_prod_nb_free(&fill_, kRefillBatch) < kRefillBatch ||
        rte_mempool_get_bulk(buffers_.pool(), frames, kRefillBatch) != 0) {
      break;
    }
    xsk_ring_prod__reserve(&fill_, kRefillBatch, &at);
    for (uint32_t i = 0; i < kRefillBatch; ++i) {
      auto* frame = static_cast<rte_mbuf*>(frames[i]);
      frame->port = mark_;
      *xsk_ring_prod__fill_addr(&fill_, at + i) = chunk(frame);
    }
    xsk_ring_prod__submit(&fill_, kRefillBatch);
    lent_ += kRefillBatch;
  }
  // Not what the ring shows: the kernel tells of the frame before it tells of the buffer.
  hungry_ = lent_ + kRefillBatch <= fill_.size;
}

unsigned PortXsk::transmit(std::span<rte_mbuf*> frames) noexcept {
  drain_completions();
  const uint32_t room = std::min(xsk_prod_nb_free(&tx_, static_cast<uint32_t>(frames.size())),
                                 completed_.size - in_flight_);
  const unsigned most = std::min(room, static_cast<uint32_t>(frames.size()));
  unsigned taken = 0;
  while (taken < most && frames[taken]->nb_segs == 1) {
    ++taken;
  }
  uint32_t at = 0;
  if (taken == 0 || xsk_ring_prod__reserve(&tx_, taken, &at) != taken) {
    if (in_flight_ != 0) {
      kick();
    }
    return 0;
  }
  for (unsigned i = 0; i < taken; ++i) {
    rte_mbuf* frame = frames[i];
    frame->port = mark_;
    xdp_desc* descriptor = xsk_ring_prod__tx_desc(&tx_, at + i);
    descriptor->addr = chunk(frame) | (uint64_t{kXdpHeadroom} + frame->data_off)
                                          << XSK_UNALIGNED_BUF_OFFSET_SHIFT;
    descriptor->len = frame->data_len;
    descriptor->options = 0;
  }
  xsk_ring_prod__submit(&tx_, taken);
  in_flight_ += taken;
  kick();
  return taken;
}

void PortXsk::drain_completions() noexcept {
  uint32_t at = 0;
  const uint32_t n = xsk_ring_cons__peek(&completed_, 2 * kMaxBurst, &at);
  if (n == 0) {
    return;
  }
  for (uint32_t i = 0; i < n; ++i) {
    rte_mbuf* frame = frame_at(*xsk_ring_cons__comp_addr(&completed_, at + i));
    frame->port = RTE_MBUF_PORT_INVALID;
    rte_pktmbuf_free(frame);
  }
  xsk_ring_cons__release(&completed_, n);
  in_flight_ -= n;
}

// One system call.  What the kernel cannot take now (EAGAIN, EBUSY, ENOBUFS) stays in the ring
// and is tried again at the next transmit or idle receive (see busy()); a link that is down
// keeps it too.
void PortXsk::kick() noexcept {
  kick_again_ = false;
  if (!xsk_ring_prod__needs_wakeup(&tx_)) {
    return;
  }
  if (sendto(wait_fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0) {
    kick_again_ = errno == EAGAIN || errno == EBUSY || errno == ENOBUFS || errno == EINTR;
  }
}

}  // namespace sluice
