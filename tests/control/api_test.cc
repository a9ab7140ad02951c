// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::control {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

class ApiTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice-api-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    socket_ = directory_ + "/run/control.sock";
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  Handlers handlers() {
    return {
        {"echo", Handler([](const json& request) -> Result<json> { return request; })},
        {"refuse", Handler([](const json&) -> Result<json> {
           return Error{"no", "ask nicely"};
         })},
        {"big",
         Handler([](const json&) -> Result<json> { return json(std::string(4u << 20, 'x')); })},
        {"change", Handler([this](const json&) -> Result<json> { return json(++changes_); },
                           Handler::Does::change)},
    };
  }

  void start(const std::string& group = "sluice") {
    auto server = ApiServer::listen(socket_, handlers(), group);
    ASSERT_TRUE(server) << server.error().what;
    server_.emplace(std::move(*server));
    thread_ = std::thread([this] { loop(); });
  }

  void loop() {
    while (!stopping_) {
      std::vector<pollfd> polled;
      server_->add_to(polled);
      poll(polled.data(), polled.size(), 10);
      server_->handle(polled);
    }
  }

  void stop() {
    stopping_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    server_.reset();
  }

  json ask(const json& request) {
    const Result<json> answer = call(socket_, request, milliseconds(5000));
    return answer ? *answer : json{{"failed", answer.error().what}};
  }

  // Asks as another user and group.
  json ask_as(uid_t user, gid_t group, const std::vector<gid_t>& groups, const json& request) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(groups.size(), groups.data()) != 0 || setgid(group) != 0 ||
          setuid(user) != 0) {
        _exit(1);
      }
      const std::string text = ask(request).dump();
      _exit(write(ends[1], text.data(), text.size()) > 0 ? 0 : 1);
    }
    close(ends[1]);
    std::string text;
    char piece[4096];
    for (ssize_t n = 0; (n = read(ends[0], piece, sizeof piece)) > 0;) {
      text.append(piece, static_cast<size_t>(n));
    }
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return json::parse(text, nullptr, false);
  }

  // A client that sends what it likes.
  int raw() {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // All that comes back until the server hangs up or `lines` lines are there.
  static std::string receive(int fd, int lines) {
    std::string text;
    char c = 0;
    while (lines > 0 && read(fd, &c, 1) == 1) {
      text += c;
      lines -= c == '\n' ? 1 : 0;
    }
    return text;
  }

  std::string directory_;
  std::string socket_;
  std::optional<ApiServer> server_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
  int changes_ = 0;
};

TEST_F(ApiTest, AnswersWithTheHandlersResult) {
  start();
  const json request = {{"verb", "echo"}, {"n", 1}};
  EXPECT_EQ(ask(request), (json{{"ok", true}, {"result", request}}));
}

TEST_F(ApiTest, SaysWhyNot) {
  start();
  const json refused = ask({{"verb", "refuse"}});
  EXPECT_EQ(refused,
            (json{{"ok", false}, {"error", "no"}, {"hint", "ask nicely"}, {"code", 4}}));
  const struct {
    const char* request;
    int code;
  } rows[] = {
      {R"({"verb":"dance"})", 2},
      {R"({"verb":7})", 2},
      {R"({})", 2},
      {R"([1])", 2},
      {R"({"verb":)", 2},
      {"", 2},
  };
  for (const auto& row : rows) {
    const int fd = raw();
    const std::string line = std::string(row.request) + "\n";
    ASSERT_EQ(write(fd, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    const json answer = json::parse(receive(fd, 1), nullptr, false);
    ASSERT_TRUE(answer.is_object()) << row.request;
    EXPECT_FALSE(answer["ok"]) << row.request;
    EXPECT_EQ(answer["code"], row.code) << row.request;
    close(fd);
  }
}

TEST_F(ApiTest, AnswersSeveralRequestsOfOneClientInOrder) {
  start();
  const int fd = raw();
  const std::string lines =
      "{\"verb\":\"echo\",\"n\":1}\n{\"verb\":\"refuse\"}\n{\"verb\":\"echo\",\"n\":2}\n";
  // In two pieces, cut inside a request.
  ASSERT_EQ(write(fd, lines.data(), 9), 9);
  std::this_thread::sleep_for(milliseconds(30));
  ASSERT_EQ(write(fd, lines.data() + 9, lines.size() - 9),
            static_cast<ssize_t>(lines.size() - 9));
  const std::string answers = receive(fd, 3);
  close(fd);
  const size_t one = answers.find("\"n\":1");
  const size_t two = answers.find("\"n\":2");
  const size_t no = answers.find("\"no\"");
  ASSERT_NE(two, std::string::npos) << answers;
  EXPECT_LT(one, no);
  EXPECT_LT(no, two);
}

TEST_F(ApiTest, HangsUpOnWhatIsNoRequest) {
  start();
  const int fd = raw();
  const std::string lines = "{\"verb\":7}\n{\"verb\":\"echo\"}\n";
  ASSERT_EQ(write(fd, lines.data(), lines.size()), static_cast<ssize_t>(lines.size()));
  const std::string answers = receive(fd, 2);
  close(fd);
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 1) << answers;
  EXPECT_EQ(json::parse(answers, nullptr, false).value("code", 0), 2);
}

TEST_F(ApiTest, SendsAnAnswerLargerThanTheSocketsBuffer) {
  start();
  EXPECT_EQ(ask({{"verb", "big"}})["result"].get<std::string>().size(), 4u << 20);
}

TEST_F(ApiTest, RefusesARequestOverOneMebibyte) {
  start();
  const int fd = raw();
  const std::string flood(kMaxRequest + 2, ' ');
  size_t sent = 0;
  while (sent < flood.size()) {
    const ssize_t n = send(fd, flood.data() + sent, flood.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) {
      break;
    }
    sent += static_cast<size_t>(n);
  }
  const json answer = json::parse(receive(fd, 1), nullptr, false);
  close(fd);
  ASSERT_TRUE(answer.is_object());
  EXPECT_EQ(answer["code"], 2);
}

TEST_F(ApiTest, ServesTheSixtyFifthClientOnceAnotherLeaves) {
  start();
  std::vector<int> clients;
  for (size_t i = 0; i < kMaxClients; ++i) {
    clients.push_back(raw());
  }
  std::this_thread::sleep_for(milliseconds(50));
  const Result<json> early = call(socket_, {{"verb", "echo"}}, milliseconds(200));
  EXPECT_FALSE(early);
  close(clients.back());
  clients.pop_back();
  EXPECT_TRUE(ask({{"verb", "echo"}})["ok"]);
  for (const int fd : clients) {
    close(fd);
  }
}

TEST_F(ApiTest, HangsUpOnAClientThatSaysNothing) {
  start();
  const int fd = raw();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(receive(fd, 1), "");
  const auto waited = std::chrono::steady_clock::now() - before;
  EXPECT_GE(waited, kRequestTimeout - milliseconds(200));
  EXPECT_LE(waited, kRequestTimeout + milliseconds(2000));
  close(fd);
}

TEST_F(ApiTest, MakesTheSocketPrivateAndRemovesItAtTheEnd) {
  start();
  struct stat info {};
  ASSERT_EQ(stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0660u);
  ASSERT_EQ(stat((directory_ + "/run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0750u);
  stop();
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(ApiTest, LetsItsGroupLookButNotChangeAndOthersNeither) {
  const group* shared = getgrnam("daemon");
  if (geteuid() != 0 || shared == nullptr) {
    GTEST_SKIP() << "only root can become somebody else";
  }
  constexpr uid_t kUser = 65533;
  constexpr gid_t kOwn = 65533;
  const gid_t in = shared->gr_gid;
  std::filesystem::permissions(directory_, std::filesystem::perms(0755));
  start("daemon");
  struct stat info {};
  ASSERT_EQ(stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, in);
  ASSERT_EQ(stat((directory_ + "/run").c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, in);
  EXPECT_EQ(info.st_mode & 0777u, 0750u);

  for (const auto& [group, groups] :
       {std::pair{in, std::vector<gid_t>{}}, std::pair{kOwn, std::vector<gid_t>{in}}}) {
    EXPECT_EQ(ask_as(kUser, group, groups, {{"verb", "echo"}})["ok"], true);
    const json refused = ask_as(kUser, group, groups, {{"verb", "change"}});
    EXPECT_EQ(refused.value("code", 0), 4) << refused;
    EXPECT_NE(refused.value("error", "").find("\"change\" is for root"), std::string::npos);
  }
  EXPECT_TRUE(ask_as(kUser, kOwn, {}, {{"verb", "echo"}}).contains("failed"));
  // Even if the socket's mode let them in.
  std::filesystem::permissions(directory_ + "/run", std::filesystem::perms(0755));
  std::filesystem::permissions(socket_, std::filesystem::perms(0666));
  const json stranger = ask_as(kUser, kOwn, {}, {{"verb", "echo"}});
  EXPECT_EQ(stranger.value("code", 0), 2) << stranger;
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(ask({{"verb", "change"}})["result"], 1);
}

TEST_F(ApiTest, RefusesToDisplaceALivingDaemon) {
  start();
  const auto second = ApiServer::listen(socket_, {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().what.find("another daemon"), std::string::npos);
  EXPECT_TRUE(ask({{"verb", "echo"}})["ok"]);
}

TEST_F(ApiTest, ReplacesTheSocketOfADeadDaemonButNoOtherFile) {
  std::filesystem::create_directory(directory_ + "/run");
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
  start();
  EXPECT_TRUE(ask({{"verb", "echo"}})["ok"]);

  const std::string file = directory_ + "/file";
  std::ofstream(file) << "mine";
  EXPECT_FALSE(ApiServer::listen(file, {}));
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(ApiTest, CallFailsWithoutADaemon) {
  const Result<json> answer = call(socket_, {{"verb", "status"}}, milliseconds(100));
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().what.find(socket_), std::string::npos);
  EXPECT_FALSE(answer.error().hint.empty());
  EXPECT_FALSE(call(std::string(200, 'x'), {}, milliseconds(100)));
}

}  // namespace
}  // namespace sluice::control
