// SPDX-License-Identifier: Apache-2.0
// Traffic between two pods: frames that the kernel sends out of one pod's interface in a loop
// (BPF_PROG_TEST_RUN on live frames), and a program at both pods' ingress that counts and drops
// what arrives (traffic.bpf.c).
//
// Made by one thread; run() starts one more, the generator, on a core of its own.  Programs are
// detached by the destructor.  Failures are std::runtime_error.
#ifndef SLUICE_PERF_E2E_TRAFFIC_H_
#define SLUICE_PERF_E2E_TRAFFIC_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "perf/e2e/traffic_state.h"

struct bpf_object;

namespace sluice::perf {

// An interface of a named network namespace.
struct Place {
  std::string space;
  std::string interface;
  uint32_t address = 0;  // IPv4, of the host's byte order
  std::array<uint8_t, 6> mac = {};
  int index = 0;
};

struct Flood {
  double rate_pps = 0;  // 0: as fast as it goes
  double seconds = 1;
  double warm_up_s = 0.2;
  unsigned frame_bytes = 60;  // without FCS
  unsigned batch = 64;        // frames sent together
  uint64_t first = 0;         // flow
  uint64_t flows = 0;         // 0: each packet is a flow of its own
  uint16_t port = 20000;      // the first destination port
  bool measure_time = false;
};

struct Outcome {
  double seconds = 0;
  uint64_t sent = 0;      // into the interface
  uint64_t skipped = 0;   // not sent, the generator's core had no time
  uint64_t received = 0;  // by the other pod
  uint64_t received_bytes = 0;
  double generator_free_ns = 0;     // time in which no packet was due and none worked on
  std::vector<double> free_ns;      // of each watched core
  std::vector<uint64_t> latencies;  // histogram; bucket_ns() says of what
};

// The latency that a bucket of the histogram stands for.
double bucket_ns(unsigned bucket);

class Traffic {
 public:
  // Frames go from `from` to `to`, to the MAC address `node`.  With `drop_at`, they are dropped
  // where they enter that interface: what remains is the generator's own cost.
  Traffic(Place from, Place to, std::array<uint8_t, 6> node, const Place* drop_at);
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;
  ~Traffic();

  // Sends one packet each way for every flow, so that connection tables have seen both.
  void open(const Flood& flood, unsigned core);
  // Watches `watched` cores meanwhile.
  Outcome run(const Flood& flood, unsigned core, const std::vector<unsigned>& watched);

 private:
  struct Sink {
    Place at;
    bool is_xdp;
  };
  void map_state();
  void sink_at(const Place& place);
  void drop_at(const Place& place);
  void detach();
  int program(const char* name) const;
  std::vector<uint8_t> frame(const Place& from, const Place& to, unsigned bytes) const;
  void set_plan(const Flood& flood, const std::vector<uint8_t>& frame, bool reverse);
  void send_each_once(const Flood& flood, bool reverse, unsigned core);

  Place from_;
  Place to_;
  std::array<uint8_t, 6> node_;
  bpf_object* object_ = nullptr;
  traffic_state* state_ = nullptr;
  std::vector<Sink> sinks_;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_E2E_TRAFFIC_H_
