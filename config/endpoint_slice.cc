// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/kinds.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";

// No number: every port of the address, which names no member.
void read_slice_port(const Value& v, EndpointSlice& slice) {
  EndpointSlice::Port port;
  bool numbered = false;
  v.fields(
      {
          {"protocol",
           [&](const Value& x) {
             port.protocol = read_l4_protocol(x).value_or(port.protocol);
           }},
          {"port",
           [&](const Value& x) {
             if (const auto n = x.integer(1, 65535)) {
               port.port = static_cast<uint16_t>(*n);
               numbered = true;
             }
           }},
      },
      {"name", "appProtocol"}, Null::absent);
  if (numbered) {
    slice.ports.push_back(port);
  }
}

// Conditions are not looked at: what is not ready, or going, is a member, too.
void read_slice_endpoint(const Value& v, EndpointSlice& slice) {
  v.fields({{"addresses",
             [&](const Value& x) {
               for (const Value& item : x.list()) {
                 if (const auto address = read_address(item)) {
                   slice.addresses.push_back(*address);
                 }
               }
             }}},
           {"conditions", "deprecatedTopology", "hints", "hostname", "nodeName", "targetRef",
            "zone"},
           Null::absent);
}

}  // namespace

void read_endpoint_slice(const Value& object, Meta meta, ResourceLists& model) {
  EndpointSlice slice;
  if (const auto label = meta.labels.find(std::string(kServiceLabel));
      label != meta.labels.end()) {
    slice.service = label->second;
  }
  const auto type = object.get("addressType");
  const size_t family = type ? type->one_of({"IPv4", "IPv6", "FQDN"}).value_or(0) : 0;
  if (!type) {
    object.error("addressType is missing", "addressType: IPv4 or IPv6");
  }
  const bool names = family == 2;  // domain names, no addresses
  const auto each = [](const Value& list, void (*read)(const Value&, EndpointSlice&),
                       EndpointSlice& to) {
    for (const Value& item : list.list()) {
      read(item, to);
    }
  };
  object.fields(
      {
          {"endpoints",
           [&](const Value& x) {
             if (!names) {
               each(x, read_slice_endpoint, slice);
             }
           }},
          {"ports", [&](const Value& x) { each(x, read_slice_port, slice); }},
      },
      {"addressType", "apiVersion", "kind", "metadata"}, Null::absent);
  const bool other = std::any_of(slice.addresses.begin(), slice.addresses.end(),
                                 [&](const Address& a) { return a.is_v4() != (family == 0); });
  if (other) {
    object.error("an address is of another family than addressType");
  }
  if (slice.service.empty()) {
    object.warning("without the label " + std::string(kServiceLabel) +
                   " it belongs to no service");
  }
  slice.meta = std::move(meta);
  model.endpoint_slices.push_back(std::move(slice));
}

}  // namespace sluice::config
