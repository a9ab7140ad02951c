// SPDX-License-Identifier: Apache-2.0
// The TCP connections that the kernel has in this thread's network namespace.
//
// Read once when a host endpoint comes; control thread.
// Source: proc(5), /proc/net/tcp and tcp6.
#ifndef SLUICE_CONTROL_SOCKETS_H_
#define SLUICE_CONTROL_SOCKETS_H_

#include <istream>

#include "fastpath/node_flow.h"

namespace sluice::control {

// Neither listeners, nor what has not been answered yet.
NodeFlows tcp_connections();

// Adds those of a table like /proc/net/tcp (or tcp6); lines that make no sense are left out.
void read_connections(std::istream& table, NodeFlows& out);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_SOCKETS_H_
