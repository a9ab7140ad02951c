// SPDX-License-Identifier: Apache-2.0
#include "fastpath/tables.h"

namespace sluice {

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
