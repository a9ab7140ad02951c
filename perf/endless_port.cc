// SPDX-License-Identifier: Apache-2.0
#include "perf/endless_port.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <rte_cycles.h>
#include <rte_mbuf.h>

namespace sluice::perf {

EndlessPort::Frame EndlessPort::frame_of(const rte_mbuf* frame) {
  assert(frame->data_len <= Frame::kMost);
  Frame out;
  out.bytes = frame->data_len;
  std::memcpy(out.data.data(), rte_pktmbuf_mtod(frame, const uint8_t*), out.bytes);
  return out;
}

void EndlessPort::load(std::vector<Frame> frames, uint64_t count) {
  frames_ = std::move(frames);
  next_ = 0;
  repeat(count);
}

void EndlessPort::repeat(uint64_t count) {
  to_give_.store(to_give_.load(std::memory_order_relaxed) + count, std::memory_order_release);
}

unsigned EndlessPort::receive(std::span<rte_mbuf*> out) noexcept {
  const uint64_t left = to_give_.load(std::memory_order_acquire) - given_;
  if (left == 0 || ++polls_ % every_ != 0) {
    return 0;
  }
  const auto n = static_cast<unsigned>(std::min<uint64_t>(left, out.size()));
  if (rte_pktmbuf_alloc_bulk(pool_, out.data(), n) != 0) {
    return 0;
  }
  for (unsigned i = 0; i < n; ++i) {
    const Frame& frame = frames_[next_];
    next_ = next_ + 1 < frames_.size() ? next_ + 1 : 0;
    std::memcpy(rte_pktmbuf_mtod(out[i], void*), frame.data.data(), Frame::kMost);
    out[i]->data_len = frame.bytes;
    out[i]->pkt_len = frame.bytes;
  }
  given_ += n;
  return n;
}

unsigned EndlessPort::transmit(std::span<rte_mbuf*> frames) noexcept {
  const auto n = static_cast<unsigned>(frames.size());
  rte_pktmbuf_free_bulk(frames.data(), n);
  last_sent_.store(rte_rdtsc(), std::memory_order_relaxed);
  sent_.store(sent_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  return n;
}

}  // namespace sluice::perf
