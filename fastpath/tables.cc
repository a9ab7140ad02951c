// SPDX-License-Identifier: Apache-2.0
#include "fastpath/tables.h"

#include <map>
#include <tuple>

namespace sluice {

namespace {

// Gives one instance to each program and pinned address, however many ask for it.
class Pins {
 public:
  InstanceId add(ProgramId program, Pinned::Side side, const Address& address) {
    if (program == kNoProgram) {
      return kNoInstance;
    }
    const auto [it, is_new] = known_.try_emplace({program, static_cast<uint8_t>(side), address},
                                                 static_cast<InstanceId>(pins_.size()));
    if (is_new) {
      pins_.push_back({program, side, address});
    }
    return it->second;
  }
  void add(HostStage& stage) {
    stage.judge = add(stage.program, Pinned::Side::none, {});
    stage.failsafe_judge = add(stage.failsafe, Pinned::Side::none, {});
  }
  void add(Endpoint& e) {
    for (const size_t six : {size_t{0}, size_t{1}}) {
      const Address* own = nullptr;
      size_t count = 0;
      for (const Address& address : e.addresses) {
        if (address.is_v4() == (six == 0)) {
          own = &address;
          ++count;
        }
      }
      const bool one = count == 1;
      const bool strange = !e.allowed_sources.empty();
      const auto judge = [&](ProgramId program, Pinned::Side side, bool pin) {
        return pin ? add(program, side, *own) : add(program, Pinned::Side::none, {});
      };
      e.judge_in[six] =
          count == 0 ? kNoInstance : judge(e.ingress, Pinned::Side::destination, one);
      e.judge_out[six] = count == 0 && !strange
                             ? kNoInstance
                             : judge(e.egress, Pinned::Side::source, one && !strange);
    }
  }
  const std::vector<Matcher::Pin>& pins() const { return pins_; }

 private:
  std::map<std::tuple<ProgramId, uint8_t, Address>, InstanceId> known_;
  std::vector<Matcher::Pin> pins_;
};

}  // namespace

Status compile(Generation& g, const Matcher::Options& options, const Matcher* previous) {
  Pins pins;
  for (Endpoint& e : g.endpoints) {
    pins.add(e);
  }
  for (HostPolicy* p : {&g.uplink, &g.tunnel, &g.pods}) {
    for (const HostStageName& at : kHostStages) {
      pins.add(p->*at.stage);
    }
  }
  auto made = Matcher::make(g.linear->shared_rules(), pins.pins(), options, previous);
  if (!made) {
    return made.error();
  }
  g.matcher = std::move(*made);
  return Ok{};
}

std::string_view name(RouteKind kind) {
  switch (kind) {
    case RouteKind::endpoint:
      return "endpoint";
    case RouteKind::tunnel:
      return "tunnel";
    case RouteKind::gateway:
      return "gateway";
    case RouteKind::connected:
      return "connected";
    case RouteKind::local:
      return "local";
    case RouteKind::blackhole:
      return "blackhole";
  }
  return "";
}

}  // namespace sluice
