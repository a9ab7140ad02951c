// SPDX-License-Identifier: Apache-2.0
#include "fastpath/port_pcap.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#define PCAP_DONT_INCLUDE_PCAP_BPF_H  // whose bpf_insn is the kernel's, too
#include <pcap/pcap.h>
#include <rte_mbuf.h>

#include "fastpath/nanos.h"

namespace sluice {
namespace {

constexpr int kSnapLength = 65535;
constexpr int kEthernet = 1;  // DLT_EN10MB

Result<pcap_t*> open_capture(const std::string& path) {
  char why[PCAP_ERRBUF_SIZE] = "";
  pcap_t* capture =
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, why);
  if (capture == nullptr) {
    const std::string text = why;  // libpcap names the file in some messages only
    return Error{text.find(path) == std::string::npos ? path + ": " + text : text};
  }
  return capture;
}

Status check_frame(const std::string& path, uint64_t index, const pcap_pkthdr& header) {
  const std::string frame = path + ": frame " + std::to_string(index);
  if (header.caplen < header.len) {
    return Error{frame + ": captured " + std::to_string(header.caplen) + " of " +
                     std::to_string(header.len) + " bytes: it is cut short",
                 "capture whole frames: tcpdump -s 0"};
  }
  if (header.caplen > kFrameRoom) {
    return Error{frame + ": " + std::to_string(header.caplen) + " bytes exceed " +
                     std::to_string(kFrameRoom) + ", what a buffer holds",
                 "capture behind segmentation: ethtool -K DEV tso off gso off gro off"};
  }
  return Ok{};
}

// Reads the file to its end.
Status check_capture(const std::string& path) {
  auto opened = open_capture(path);
  if (!opened) {
    return opened.error();
  }
  pcap_t* capture = *opened;
  Status status = Ok{};
  if (const int type = pcap_datalink(capture); type != kEthernet) {
    const char* name = pcap_datalink_val_to_name(type);
    status = Error{path + ": link type " + (name == nullptr ? std::to_string(type) : name) +
                       " is not Ethernet (EN10MB)",
                   "capture on one interface: tcpdump -i DEV, not -i any"};
  }
  pcap_pkthdr* header = nullptr;
  const uint8_t* bytes = nullptr;
  int got = 1;
  for (uint64_t index = 0; status && got == 1; ++index) {
    got = pcap_next_ex(capture, &header, &bytes);
    if (got == 1) {
      status = check_frame(path, index, *header);
    } else if (got != PCAP_ERROR_BREAK) {
      status = Error{path + ": frame " + std::to_string(index) + ": " + pcap_geterr(capture)};
    }
  }
  pcap_close(capture);
  return status;
}

}  // namespace

Result<std::unique_ptr<PortPcap>> PortPcap::open(const std::optional<std::string>& in,
                                                 const std::string& out, Buffers& buffers,
                                                 Info info) {
  std::unique_ptr<PortPcap> port(new PortPcap(std::move(info), buffers));
  if (in) {
    if (Status s = check_capture(*in); !s) {
      return s.error();
    }
    auto capture = open_capture(*in);
    if (!capture) {
      return capture.error();
    }
    port->in_ = *capture;
    port->read_next();
  }
  port->out_path_ = out;
  port->format_ =
      pcap_open_dead_with_tstamp_precision(kEthernet, kSnapLength, PCAP_TSTAMP_PRECISION_NANO);
  port->out_ = pcap_dump_open(port->format_, out.c_str());
  if (port->out_ == nullptr) {
    return Error{pcap_geterr(port->format_)};
  }
  return port;
}

PortPcap::~PortPcap() {
  if (out_ != nullptr) {
    pcap_dump_close(out_);
  }
  if (format_ != nullptr) {
    pcap_close(format_);
  }
  if (in_ != nullptr) {
    pcap_close(in_);
  }
}

void PortPcap::read_next() noexcept {
  pcap_pkthdr* header = nullptr;
  next_time_.reset();
  if (in_ == nullptr || pcap_next_ex(in_, &header, &next_) != 1) {
    return;
  }
  next_bytes_ = header->caplen;
  // With nanosecond precision tv_usec holds nanoseconds.
  next_time_ = static_cast<uint64_t>(header->ts.tv_sec) * kSecond +
               static_cast<uint64_t>(header->ts.tv_usec);
}

unsigned PortPcap::receive(std::span<rte_mbuf*> out) noexcept {
  if (!next_time_ || out.empty()) {
    return 0;
  }
  ++received_;
  rte_mbuf* frame = rte_pktmbuf_alloc(buffers_.pool());
  // The check at open() has seen every length; the file may have grown since.
  char* data = frame == nullptr || next_bytes_ > kFrameRoom
                   ? nullptr
                   : rte_pktmbuf_append(frame, static_cast<uint16_t>(next_bytes_));
  if (data == nullptr) {
    rte_pktmbuf_free(frame);
    ++missed_;
    read_next();
    return 0;
  }
  std::memcpy(data, next_, next_bytes_);
  out[0] = frame;
  read_next();
  return 1;
}

unsigned PortPcap::transmit(std::span<rte_mbuf*> frames) noexcept {
  for (rte_mbuf* frame : frames) {
    pcap_pkthdr header{};
    header.ts.tv_sec = static_cast<time_t>(now_ / kSecond);
    header.ts.tv_usec = static_cast<suseconds_t>(now_ % kSecond);
    header.caplen = frame->data_len;
    header.len = frame->data_len;
    pcap_dump(reinterpret_cast<u_char*>(out_), &header, rte_pktmbuf_mtod(frame, const u_char*));
    rte_pktmbuf_free(frame);
  }
  return static_cast<unsigned>(frames.size());
}

Status PortPcap::flush() {
  if (pcap_dump_flush(out_) != 0 || std::ferror(pcap_dump_file(out_)) != 0) {
    return Error{out_path_ + ": cannot be written: " + std::generic_category().message(errno)};
  }
  return Ok{};
}

}  // namespace sluice
