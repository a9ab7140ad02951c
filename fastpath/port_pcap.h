// SPDX-License-Identifier: Apache-2.0
// A port made of captures: frames come from one file and go to another.
//
// For replay: the driver asks for the time of the next frame, sets the clock, and takes that
// one frame.  Everything about it is deterministic.  One thread.  The output is always written:
// pcap with nanoseconds, snap length 65535, Ethernet.
// Bounds: a frame fits a buffer (kFrameRoom).  Source: libpcap, pcap-savefile(5).
#ifndef SLUICE_FASTPATH_PORT_PCAP_H_
#define SLUICE_FASTPATH_PORT_PCAP_H_

#include <memory>
#include <optional>
#include <string>

#include "classifier/result.h"
#include "fastpath/buffers.h"
#include "fastpath/port.h"

struct pcap;
struct pcap_dumper;

namespace sluice {

class PortPcap final : public Port {
 public:
  // Reads all of `in` once to find what cannot be replayed: another link type, a frame that the
  // capture cut short, one that no buffer holds, a file that ends in the middle.  No `in`: no
  // frames.  `out` is overwritten.  `buffers` must outlive the port.
  static Result<std::unique_ptr<PortPcap>> open(const std::optional<std::string>& in,
                                                const std::string& out, Buffers& buffers,
                                                Info info);
  ~PortPcap() override;

  // Capture time of the frame that receive() gives next, in ns since the epoch; absent at the
  // end.
  std::optional<uint64_t> next_time() const { return next_time_; }
  // Number of the frame that receive() gave last, from 0.
  uint32_t last_index() const { return received_ - 1; }
  // The time that transmit() stamps.
  void set_now(uint64_t ns) { now_ = ns; }

  // One frame a call.  Without a free buffer the frame is lost, and missed() says so.
  unsigned receive(std::span<rte_mbuf*> out) noexcept override;
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override;
  uint64_t missed() const noexcept override { return missed_; }

  // Writes out what is buffered; says so if any write failed.
  Status flush();

 private:
  PortPcap(Info info, Buffers& buffers) : Port(std::move(info)), buffers_(buffers) {}
  void read_next() noexcept;

  Buffers& buffers_;
  std::string out_path_;
  pcap* in_ = nullptr;
  pcap* format_ = nullptr;  // what the output's header says
  pcap_dumper* out_ = nullptr;
  const uint8_t* next_ = nullptr;  // bytes of the next frame; libpcap's
  uint32_t next_bytes_ = 0;
  std::optional<uint64_t> next_time_;
  uint32_t received_ = 0;
  uint64_t now_ = 0;
  uint64_t missed_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PORT_PCAP_H_
