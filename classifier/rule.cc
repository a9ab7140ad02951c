// SPDX-License-Identifier: Apache-2.0
#include "classifier/rule.h"

namespace sluice {

std::string_view name(Action action) {
  switch (action) {
    case Action::allow:
      return "allow";
    case Action::deny:
      return "deny";
    case Action::pass:
      return "pass";
    case Action::log:
      return "log";
  }
  return "";
}

}  // namespace sluice
