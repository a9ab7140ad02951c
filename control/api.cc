// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::control {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxAnswer = 256u << 20;
constexpr int kBadRequest = 2;
constexpr int kRefused = 4;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Error failure(const std::string& what) {
  return {what + ": " + std::generic_category().message(errno)};
}

std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return std::nullopt;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Does anybody answer on that socket?
bool answered(const sockaddr_un& address) {
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // EAGAIN: somebody listens, and its backlog is full.
  return connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN;
}

// The group is only convenience: without it root alone may connect.
std::optional<gid_t> group_named(const std::string& name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): control's thread only
  const group* found = getgrnam(name.c_str());
  return found != nullptr ? std::optional(found->gr_gid) : std::nullopt;
}

void share_with(const std::optional<gid_t>& group, const std::string& path) {
  if (group) {
    static_cast<void>(chown(path.c_str(), static_cast<uid_t>(-1), *group) == 0);
  }
}

Status make_directory(const std::string& path, const std::optional<gid_t>& group) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (parent.empty() || std::filesystem::exists(parent, error)) {
    return Ok{};
  }
  std::filesystem::create_directories(parent.parent_path(), error);
  if (mkdir(parent.c_str(), 0750) != 0 && errno != EEXIST) {
    return failure("control socket: directory " + parent.string());
  }
  share_with(group, parent.string());
  return Ok{};
}

Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return Ok{};
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Error{"control socket: " + path + " exists and is not a socket"};
  }
  if (answered(address)) {
    return Error{"control socket: another daemon answers on " + path,
                 "stop it, or give this one its own control.socket"};
  }
  unlink(path.c_str());
  return Ok{};
}

enum class Rights : uint8_t { none, look, change };

// Of whoever connected; its groups are those it had then.
Rights rights_of(int fd, const std::optional<gid_t>& group) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return Rights::none;
  }
  if (peer.uid == 0 || peer.uid == geteuid()) {
    return Rights::change;
  }
  std::array<gid_t, NGROUPS_MAX> groups{};
  size = sizeof groups;
  const size_t count = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0
                           ? size / sizeof(gid_t)
                           : 0;
  const bool member =
      group && (peer.gid == *group || std::find(groups.begin(), groups.begin() + count,
                                                *group) != groups.begin() + count);
  return member ? Rights::look : Rights::none;
}

std::string line_of(const json& answer) {
  return answer.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

std::string refusal(const std::string& what, const std::string& hint, int code) {
  return line_of({{"ok", false}, {"error", what}, {"hint", hint}, {"code", code}});
}

std::string answer_line(const Result<json>& answer) {
  if (!answer) {
    return refusal(answer.error().what, answer.error().hint, kRefused);
  }
  return line_of({{"ok", true}, {"result", *answer}});
}

struct Client {
  Descriptor fd;
  Rights rights = Rights::none;
  std::string in;
  std::string out;
  Clock::time_point deadline;
  bool closing = false;  // once `out` is sent
  bool gone = false;
};

}  // namespace

struct ApiServer::State {
  std::string path;
  std::optional<gid_t> group;
  Handlers handlers;
  Descriptor listener;
  std::list<Client> clients;

  ~State() { unlink(path.c_str()); }

  void accept_all();
  void receive(Client& client);
  void send_some(Client& client);
  void serve_lines(Client& client);
  void serve(Client& client, const std::string& line);
  void refuse(Client& client, const std::string& what, const std::string& hint);
};

void ApiServer::State::accept_all() {
  while (clients.size() < kMaxClients) {
    Descriptor fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.get() < 0) {
      return;
    }
    Client& client = clients.emplace_back();
    client.deadline = Clock::now() + kRequestTimeout;
    client.fd = std::move(fd);
    client.rights = rights_of(client.fd.get(), group);
    if (client.rights == Rights::none) {
      refuse(client, "control socket: only root, the daemon's user and its group are served",
             "use sudo");
      send_some(client);
    }
  }
}

void ApiServer::State::refuse(Client& client, const std::string& what,
                              const std::string& hint) {
  client.out += refusal(what, hint, kBadRequest);
  client.in.clear();  // whoever sends no request has no more to ask
  client.closing = true;
}

void ApiServer::State::receive(Client& client) {
  char buffer[65536];
  while (client.in.size() <= kMaxRequest) {
    const ssize_t n = read(client.fd.get(), buffer, sizeof buffer);
    if (n > 0) {
      client.in.append(buffer, static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && errno == EAGAIN) {
      break;
    }
    client.closing = true;  // it has sent all that it will; answers still owed are sent
    break;
  }
  serve_lines(client);
}

void ApiServer::State::serve_lines(Client& client) {
  while (client.out.empty()) {
    const size_t end = client.in.find('\n');
    if (end == std::string::npos || end > kMaxRequest) {
      if (client.in.size() > kMaxRequest) {
        refuse(client, "control socket: a request exceeds 1 MiB", "");
      }
      break;
    }
    const std::string line = client.in.substr(0, end);
    client.in.erase(0, end + 1);
    client.deadline = Clock::now() + kRequestTimeout;
    serve(client, line);
    send_some(client);
  }
  if (client.closing && client.out.empty()) {
    client.gone = true;
  }
}

void ApiServer::State::serve(Client& client, const std::string& line) {
  const json request = json::parse(line, nullptr, false);
  if (!request.is_object() || !request.contains("verb") || !request["verb"].is_string()) {
    refuse(client, "control socket: a request is one JSON object with a verb, on one line", "");
    return;
  }
  const auto found = handlers.find(request["verb"].get<std::string>());
  if (found == handlers.end()) {
    client.out += refusal("unknown verb \"" + request["verb"].get<std::string>() + "\"",
                          "is sluicectl newer than sluiced?", kBadRequest);
    return;
  }
  if (found->second.does == Handler::Does::change && client.rights != Rights::change) {
    client.out += refusal("\"" + found->first + "\" is for root and the daemon's user",
                          "use sudo; the socket's group may look, not change", kRefused);
    return;
  }
  client.out += answer_line(found->second.answer(request));
}

void ApiServer::State::send_some(Client& client) {
  while (!client.out.empty()) {
    const ssize_t n = send(client.fd.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      client.gone = client.gone || errno != EAGAIN;
      return;
    }
    client.out.erase(0, static_cast<size_t>(n));
    client.deadline = Clock::now() + kRequestTimeout;
  }
}

ApiServer::ApiServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
ApiServer::ApiServer(ApiServer&&) noexcept = default;
ApiServer& ApiServer::operator=(ApiServer&&) noexcept = default;
ApiServer::~ApiServer() = default;

Result<ApiServer> ApiServer::listen(const std::string& path, Handlers handlers,
                                    const std::string& group) {
  const std::optional<sockaddr_un> address = address_of(path);
  if (!address) {
    return Error{"control socket: \"" + path + "\" is empty or longer than 107 bytes",
                 "choose a shorter control.socket"};
  }
  const std::optional<gid_t> shared = group_named(group);
  if (Status s = make_directory(path, shared); !s) {
    return s.error();
  }
  if (Status s = remove_stale(path, *address); !s) {
    return s.error();
  }
  Descriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Nobody may connect between bind and chmod.
  const mode_t before = umask(0177);
  const int bound = bind(listener.get(), generic(*address), sizeof *address);
  umask(before);
  if (bound != 0) {
    return failure("control socket " + path);
  }
  auto state = std::make_unique<State>();
  state->path = path;
  state->group = shared;
  share_with(state->group, path);
  if (chmod(path.c_str(), 0660) != 0 || ::listen(listener.get(), 16) != 0) {
    return failure("control socket " + path);
  }
  state->listener = std::move(listener);
  state->handlers = std::move(handlers);
  return ApiServer(std::move(state));
}

void ApiServer::add_to(std::vector<pollfd>& descriptors) const {
  if (state_->clients.size() < kMaxClients) {
    descriptors.push_back({state_->listener.get(), POLLIN, 0});
  }
  for (const Client& client : state_->clients) {
    const bool reading = client.out.empty() && !client.closing;
    const int events = (reading ? POLLIN : 0) | (client.out.empty() ? 0 : POLLOUT);
    descriptors.push_back({client.fd.get(), static_cast<short>(events), 0});
  }
}

void ApiServer::handle(std::span<const pollfd> polled) {
  bool accept_more = false;
  for (const pollfd& one : polled) {
    if (one.revents == 0) {
      continue;
    }
    accept_more = accept_more || one.fd == state_->listener.get();
    for (Client& client : state_->clients) {
      if (client.fd.get() != one.fd) {
        continue;
      }
      if ((one.revents & POLLOUT) != 0) {
        state_->send_some(client);
        state_->serve_lines(client);
      }
      if ((one.revents & POLLIN) != 0) {
        state_->receive(client);
      } else if ((one.revents & (POLLHUP | POLLERR)) != 0) {
        client.gone = true;
      }
    }
  }
  const Clock::time_point now = Clock::now();
  state_->clients.remove_if(
      [&](const Client& client) { return client.gone || client.deadline < now; });
  // Last, so that a new client is not taken for a closed one that had its descriptor.
  if (accept_more) {
    state_->accept_all();
  }
}

Result<json> call(const std::string& socket_path, const json& request,
                  std::chrono::milliseconds timeout) {
  const std::optional<sockaddr_un> address = address_of(socket_path);
  if (!address) {
    return Error{"\"" + socket_path + "\" cannot be a socket's name"};
  }
  const Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), generic(*address), sizeof *address) != 0) {
    const bool forbidden = errno == EACCES || errno == EPERM;
    return Error{"cannot reach sluiced at " + socket_path + ": " +
                     std::generic_category().message(errno),
                 forbidden ? "use sudo" : "is it running? `-s` names another socket"};
  }
  const std::string line = line_of(request);
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    return failure("sluiced at " + socket_path + " does not listen");
  }
  const Clock::time_point deadline = Clock::now() + timeout;
  std::string answer;
  char buffer[65536];
  while (answer.empty() || answer.back() != '\n') {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd readable{fd.get(), POLLIN, 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) <= 0) {
      return Error{"sluiced at " + socket_path + " did not answer in time"};
    }
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n <= 0 || answer.size() > kMaxAnswer) {
      return Error{"sluiced at " + socket_path + " hung up"};
    }
    answer.append(buffer, static_cast<size_t>(n));
  }
  json parsed = json::parse(answer, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("ok") || !parsed["ok"].is_boolean()) {
    return Error{"sluiced at " + socket_path + " sent what is no answer"};
  }
  return parsed;
}

}  // namespace sluice::control
