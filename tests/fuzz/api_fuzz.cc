// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as what a client sends to the control socket, through the real server
// and a real socket.  Whatever they are: every line that comes back is an answer of the stated
// form, there are no more answers than requests, a refusal of the line's form ends the
// connection, the server lets go of the client, and the next client is served.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api.h"

namespace {

using nlohmann::json;
using sluice::Error;
using sluice::Result;
using sluice::control::ApiServer;
using sluice::control::Handler;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

struct Directory {
  char name[24] = "/tmp/sluice-fuzz-XXXXXX";
  Directory() { check(mkdtemp(name) != nullptr); }
  ~Directory() { rmdir(name); }
};

// One server for all inputs, as in the daemon.
struct Server {
  sockaddr_un address{};
  ApiServer api;

  explicit Server(const std::string& directory) : api(start(directory + "/s")) {
    const std::string path = directory + "/s";
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
  }

  static ApiServer start(const std::string& path) {
    const auto status = [](const json&) -> Result<json> { return json{{"node", "n"}}; };
    const auto reload = [](const json&) -> Result<json> { return Error{"no", "hint"}; };
    auto api = ApiServer::listen(path, {{"status", Handler(status)},
                                        {"reload", Handler(reload, Handler::Does::change)}});
    check(static_cast<bool>(api));
    return std::move(*api);
  }

  int connect() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
  }

  void turn() {
    std::vector<pollfd> polled;
    api.add_to(polled);
    poll(polled.data(), polled.size(), 0);
    api.handle(polled);
  }
};

// Sends `text`, then nothing more, and returns all that comes back until the server hangs up.
std::string exchange(Server& server, std::string_view text) {
  const int fd = server.connect();
  std::string out;
  std::array<char, 65536> piece;
  bool open = true;
  for (int turns = 0; open; ++turns) {
    check(turns < 10000);
    if (!text.empty()) {
      const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      const bool gone = n < 0 && errno != EAGAIN;
      text.remove_prefix(gone ? text.size() : static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
    if (text.empty()) {
      shutdown(fd, SHUT_WR);
    }
    server.turn();
    ssize_t n = 0;
    while ((n = read(fd, piece.data(), piece.size())) > 0) {
      out.append(piece.data(), static_cast<size_t>(n));
    }
    open = n < 0 && errno == EAGAIN;
  }
  close(fd);
  return out;
}

void check_answers(std::string_view request, const std::string& answers) {
  check(answers.empty() || answers.back() == '\n');
  const auto lines = [](std::string_view text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  check(lines(answers) <= lines(request) + 1);
  size_t from = 0;
  for (size_t end = 0; (end = answers.find('\n', from)) != std::string::npos; from = end + 1) {
    const json answer =
        json::parse(answers.begin() + static_cast<std::ptrdiff_t>(from),
                    answers.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    check(answer.is_object() && answer.contains("ok") && answer["ok"].is_boolean());
    if (answer["ok"].get<bool>()) {
      check(answer["result"] == json{{"node", "n"}});
    } else {
      check(answer["error"].is_string() && answer["hint"].is_string());
      check(answer["code"] == 2 || answer["code"] == 4);
      const bool form = answer["error"].get<std::string>().starts_with("control socket: ");
      check(!form || end + 1 == answers.size());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Directory directory;
  static Server server(directory.name);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_answers(text, exchange(server, text));
  const std::string next = exchange(server, "{\"verb\":\"status\"}\n");
  check(next == "{\"ok\":true,\"result\":{\"node\":\"n\"}}\n");
  return 0;
}
