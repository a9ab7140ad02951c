// SPDX-License-Identifier: Apache-2.0
// A packet socket on an interface: sends frames out of it, as they are, and sees those that
// come.
#ifndef SLUICE_TESTS_SUPPORT_PACKET_SOCKET_H_
#define SLUICE_TESTS_SUPPORT_PACKET_SOCKET_H_

#include <cstdint>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::test {

class PacketSocket {
 public:
  explicit PacketSocket(const char* name) : fd_(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name));
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~PacketSocket() { close(fd_); }
  PacketSocket(const PacketSocket&) = delete;
  PacketSocket& operator=(const PacketSocket&) = delete;

  void send(const std::vector<uint8_t>& frame) {
    EXPECT_EQ(::send(fd_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  // The next frame from the other end, or an empty one after 300 ms.
  std::vector<uint8_t> receive() {
    for (pollfd waiting{fd_, POLLIN, 0}; poll(&waiting, 1, 300) == 1;) {
      std::vector<uint8_t> frame(4096);
      sockaddr_ll from{};
      socklen_t length = sizeof(from);
      const ssize_t n = recvfrom(fd_, frame.data(), frame.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &length);
      if (n > 0 && from.sll_pkttype != PACKET_OUTGOING) {
        frame.resize(static_cast<size_t>(n));
        return frame;
      }
    }
    return {};
  }

 private:
  int fd_;
};

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_PACKET_SOCKET_H_
