// SPDX-License-Identifier: Apache-2.0
// The control socket: one JSON object per line in, one per line out.
//
//   {"verb":"status", ...}  ->  {"ok":true,"result":...}
//                               {"ok":false,"error":"...","hint":"...","code":2}
// `code` is the exit code that sluicectl ends with: 2 for a request that makes no sense, 4 for
// one that was refused.  A client may send several requests; they are answered in order, one at
// a time.
//
// ApiServer belongs to the control thread and never blocks: it lends its descriptors to the
// loop's poll set and works on what poll reports.  Bounds: kMaxRequest bytes, kMaxClients
// clients (more wait in the kernel's backlog), kRequestTimeout for a request to arrive whole
// and for an answer to be taken.  Whom the kernel says the client is (SO_PEERCRED) decides what
// it may ask: root and the daemon's own user everything, members of the socket's group what
// changes nothing, others nothing.
#ifndef SLUICE_CONTROL_API_H_
#define SLUICE_CONTROL_API_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "classifier/result.h"

struct pollfd;

namespace sluice::control {

inline constexpr size_t kMaxRequest = 1u << 20;
inline constexpr size_t kMaxClients = 64;
inline constexpr std::chrono::seconds kRequestTimeout{5};
inline constexpr size_t kMaxListed = 10000;  // connections in one answer

// What answers a verb, at once; an Error is reported as refused (code 4).
struct Handler {
  using Answer = std::function<Result<nlohmann::json>(const nlohmann::json& request)>;
  enum class Does : uint8_t { look, change };

  explicit Handler(Answer a, Does d = Does::look) : answer(std::move(a)), does(d) {}
  Answer answer;
  Does does;
};
// Verb -> what answers it.
using Handlers = std::map<std::string, Handler>;

class ApiServer {
 public:
  // Creates the socket, mode 0660 and of `group` if that exists; its directory too, mode 0750,
  // if missing.  Replaces a socket on which nobody answers; fails if somebody does.
  static Result<ApiServer> listen(const std::string& path, Handlers handlers,
                                  const std::string& group = "sluice");

  ApiServer(ApiServer&&) noexcept;
  ApiServer& operator=(ApiServer&&) noexcept;
  ~ApiServer();  // closes everything and removes the socket

  // Appends what poll() should watch, for one round.
  void add_to(std::vector<pollfd>& descriptors) const;
  // Serves what poll() reported; descriptors of others in `polled` are passed over.  Also
  // closes clients that are out of time, so call it at least once a second.
  void handle(std::span<const pollfd> polled);

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The client's side: sends one request and waits for its answer, which may be an {"ok":false}.
// Fails if there is no daemon, or none that answers in time.
Result<nlohmann::json> call(const std::string& socket_path, const nlohmann::json& request,
                            std::chrono::milliseconds timeout);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_API_H_
