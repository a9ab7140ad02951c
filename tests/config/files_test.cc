// SPDX-License-Identifier: Apache-2.0
// Which files are read and which are refused, on a real file system.
#include "config/files.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/read_files.h"
#include "tests/config/findings_of.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

std::string a_namespace(const std::string& name) {
  return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n";
}

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice-files-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(path(name)) << text;
  }
  // The findings about `named`, with the test's directory left out.
  std::vector<std::string> findings(const std::string& named) {
    loaded_ = load_resources({path(named)});
    std::vector<std::string> lines = lines_of(loaded_);
    for (std::string& line : lines) {
      for (size_t at = 0; (at = line.find(root_.string() + "/")) != std::string::npos;) {
        line.erase(at, root_.string().size() + 1);
      }
    }
    return lines;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const Namespace& n : loaded_.model.namespaces) {
      out.push_back(n.meta.name);
    }
    return out;
  }

  fs::path root_;
  Loaded loaded_;
};

using Lines = std::vector<std::string>;

TEST_F(FilesTest, ReadsADirectoryInLexicalOrderAndSkipsWhatIsNotMeant) {
  write("d/b.yml", a_namespace("b"));
  write("d/a.yaml", a_namespace("a"));
  write("d/c/d.json", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"c"}})");
  write("d/.hidden.yaml", "]");
  write("d/.git/x.yaml", "]");
  write("d/cases.test.yaml", "]");
  write("d/a.yaml~", "]");
  write("d/a.yaml.dpkg-old", "]");
  write("d/README.md", "]");
  EXPECT_EQ(findings("d"), Lines{});
  EXPECT_EQ(names(), (Lines{"a", "b", "c"}));
}

TEST_F(FilesTest, FollowsTheLinksOfAKubernetesVolume) {
  write("d/..2026_01/policy.yaml", a_namespace("a"));
  fs::create_directory_symlink("..2026_01", path("d/..data"));
  fs::create_symlink("..data/policy.yaml", path("d/policy.yaml"));
  EXPECT_EQ(findings("d"), Lines{});
  EXPECT_EQ(names(), Lines{"a"});
}

TEST_F(FilesTest, SaysThatADirectoryHasNothingToRead) {
  write("d/notes.txt", "");
  EXPECT_EQ(findings("d"), Lines{"d: warning: has no *.yaml, *.yml or *.json file"});
}

TEST_F(FilesTest, ReportsALinkThatLeadsNowhereAndReadsTheRest) {
  write("d/a.yaml", a_namespace("a"));
  fs::create_symlink("gone.yaml", path("d/z.yaml"));
  EXPECT_EQ(findings("d"), Lines{"d/z.yaml: error: cannot be read: No such file or directory"});
  EXPECT_EQ(names(), Lines{"a"});
}

TEST_F(FilesTest, ReportsADirectoryThatLinksToItself) {
  write("d/a.yaml", a_namespace("a"));
  fs::create_directory_symlink("..", path("d/e"));
  fs::create_directory_symlink(".", path("d/f"));
  EXPECT_EQ(findings("d"), (Lines{"d/e/d: error: is the directory d again",
                                  "d/f: error: is the directory d again"}));
  EXPECT_EQ(names(), Lines{"a"});
}

TEST_F(FilesTest, ReportsALinkToItself) {
  fs::create_directory(path("d"));
  fs::create_symlink("a.yaml", path("d/a.yaml"));
  EXPECT_EQ(findings("d"),
            Lines{"d/a.yaml: error: cannot be read: Too many levels of symbolic links"});
}

TEST_F(FilesTest, DoesNotWaitForAFifo) {
  fs::create_directory(path("d"));
  ASSERT_EQ(mkfifo(path("d/a.yaml").c_str(), 0600), 0);
  EXPECT_EQ(findings("d"), Lines{"d/a.yaml: error: is not a regular file"});
}

TEST_F(FilesTest, RefusesADevice) {
  fs::create_directory(path("d"));
  fs::create_symlink("/dev/zero", path("d/a.yaml"));
  EXPECT_EQ(findings("d"), Lines{"d/a.yaml: error: is not a regular file"});
}

TEST_F(FilesTest, RefusesMoreThan64MiB) {
  write("a.yaml", "");
  fs::resize_file(path("a.yaml"), kMaxFile + 1);
  EXPECT_EQ(findings("a.yaml"), Lines{"a.yaml: error: is larger than 64 MiB"});
}

TEST_F(FilesTest, RefusesAnEmptyFile) {
  write("a.yaml", "");
  EXPECT_EQ(findings("a.yaml"),
            Lines{"a.yaml: error: is empty | hint: half-written? else remove the file"});
}

TEST_F(FilesTest, ReportsWhatIsNotThere) {
  EXPECT_EQ(findings("none"), Lines{"none: error: cannot be read: No such file or directory"});
}

// The complaint about `path` as a user without rights gets it; root reads everything.
std::string complaint_of_nobody(const std::string& path) {
  int pipe_ends[2];
  EXPECT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setuid(kNobody) != 0) {
      _exit(1);
    }
    const std::string text = all_of(load_resources({path}));
    const ssize_t n = ::write(pipe_ends[1], text.data(), text.size());
    _exit(n < 0 ? 1 : 0);
  }
  close(pipe_ends[1]);
  std::string text;
  char chunk[4096];
  for (ssize_t n = 0; (n = read(pipe_ends[0], chunk, sizeof(chunk))) > 0;) {
    text.append(chunk, static_cast<size_t>(n));
  }
  close(pipe_ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return text;
}

TEST_F(FilesTest, ReportsDirectoriesAndFilesThatMayNotBeRead) {
  write("d/locked/a.yaml", a_namespace("a"));
  write("d/b.yaml", a_namespace("b"));
  fs::permissions(root_, fs::perms::all);
  fs::permissions(path("d/locked"), fs::perms::none);
  fs::permissions(path("d/b.yaml"), fs::perms::none);
  const std::string text = complaint_of_nobody(path("d"));
  const std::string alone = complaint_of_nobody(path("d/locked"));
  fs::permissions(path("d/locked"), fs::perms::owner_all);
  EXPECT_EQ(text, path("d/locked") + ": error: cannot be read: Permission denied\n" +
                      path("d/b.yaml") + ": error: cannot be read: Permission denied\n");
  EXPECT_EQ(alone, path("d/locked") + ": error: cannot be read: Permission denied\n");
}

TEST_F(FilesTest, TrustsWhatOnlyItsOwnerCanWrite) {
  write("a.yaml", a_namespace("a"));
  const struct {
    mode_t mode;
    const char* message;
  } rows[] = {
      {0600, ""},
      {0644, ""},
      {0755, ""},
      {0664, "can be written by others than its owner: its mode is 0664"},
      {0602, "can be written by others than its owner: its mode is 0602"},
      {0666, "can be written by others than its owner: its mode is 0666"},
  };
  for (const auto& row : rows) {
    ASSERT_EQ(chmod(path("a.yaml").c_str(), row.mode), 0);
    Complaint complaint;
    const bool read = read_whole(path("a.yaml"), complaint, Trust::owner).has_value();
    EXPECT_EQ(read, row.message[0] == '\0');
    EXPECT_EQ(complaint.message, row.message);
    EXPECT_EQ(complaint.hint, read ? "" : "chmod go-w " + path("a.yaml"));
    EXPECT_TRUE(read_whole(path("a.yaml"), complaint)) << "a user's own check";
  }
}

TEST_F(FilesTest, TrustsNoFileOfAnotherUser) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give files away";
  }
  write("a.yaml", a_namespace("a"));
  ASSERT_EQ(chown(path("a.yaml").c_str(), 65534, 65534), 0);
  Complaint complaint;
  EXPECT_FALSE(read_whole(path("a.yaml"), complaint, Trust::owner));
  EXPECT_EQ(complaint.message, "belongs to user 65534, who is not root");
  EXPECT_EQ(complaint.hint, "chown root " + path("a.yaml"));
  // What counts is the file that a link leads to.
  fs::create_symlink("a.yaml", root_ / "link.yaml");
  EXPECT_FALSE(read_whole(path("link.yaml"), complaint, Trust::owner));
}

// A writer appends for as long as we read: what is read whole must be the file of one moment.
TEST_F(FilesTest, NeverReadsAFileThatGrowsMeanwhile) {
  constexpr size_t kLine = 16;
  const std::string line = "# " + std::string(kLine - 3, 'x') + "\n";
  write("a.yaml", line);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    const int fd = open(path("a.yaml").c_str(), O_WRONLY | O_APPEND);
    while (!stop) {
      if (::write(fd, line.data(), line.size()) < 0) {
        break;
      }
    }
    close(fd);
  });
  constexpr int kReads = 2000;
  bool refused = false;
  for (int i = 0; i < kReads; ++i) {
    Complaint complaint;
    const auto text = read_whole(path("a.yaml"), complaint);
    if (!text) {
      EXPECT_EQ(complaint.message, "changed while it was read");
      refused = true;
      break;
    }
    EXPECT_EQ(text->size() % kLine, 0u);
  }
  stop = true;
  writer.join();
  EXPECT_TRUE(refused);
}

TEST_F(FilesTest, PlacesWhatCannotBeReadAtTheSettingThatNamesIt) {
  write(
      "sluice.yaml",
      "node: n1\nresources: [gone.yaml, d]\nuplink: {interface: e, addresses: [10.0.0.1/8]}\n");
  write("d/a.yaml", a_namespace("a"));
  fs::create_symlink("gone", path("d/b.yaml"));
  const Loaded loaded = load(path("sluice.yaml"));
  EXPECT_EQ(lines_of(loaded),
            (Lines{path("sluice.yaml") + ":2:13: error: \"" + path("gone.yaml") +
                       "\" cannot be read: No such file or directory",
                   path("sluice.yaml") + ":2:24: error: \"" + path("d/b.yaml") +
                       "\" cannot be read: No such file or directory"}));
}

// ---- reading again -------------------------------------------------------------------------

class AgainTest : public FilesTest {
 protected:
  void SetUp() override {
    FilesTest::SetUp();
    for (const char* name : {"a", "b", "c"}) {
      write(std::string("d/") + name + ".yaml", a_namespace(name));
    }
    write("sluice.yaml",
          "node: n1\nresources: [d]\nuplink: {interface: e, addresses: [10.0.0.1/24]}\n");
  }
  // Until what was written before is old enough to be known by its times.
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(2100)); }
  // The names of the namespaces, and how many files were read for them.
  std::pair<Lines, size_t> load_again() {
    loaded_ = load(path("sluice.yaml"), {.strict = false, .known = &known_});
    Loaded anew = load(path("sluice.yaml"));
    EXPECT_EQ(lines_of(loaded_), lines_of(anew));
    const Lines now = names();
    std::swap(loaded_, anew);
    EXPECT_EQ(now, names()) << "as without knowing any file";
    std::swap(loaded_, anew);
    return {now, known_.read()};
  }
  long errors() const {
    const auto& all = loaded_.findings.all();
    return std::count_if(all.begin(), all.end(), [](const Finding& finding) {
      return finding.severity == Severity::error;
    });
  }
  ReadFiles known_;
};

TEST_F(AgainTest, ReadsOnlyWhatChanged) {
  settle();
  using Outcome = std::pair<Lines, size_t>;
  EXPECT_EQ(load_again(), (Outcome{{"a", "b", "c"}, 3}));
  const Namespace* a = loaded_.model.namespaces.at(0).address();
  EXPECT_EQ(load_again(), (Outcome{{"a", "b", "c"}, 0}));
  EXPECT_EQ(loaded_.model.namespaces.at(0).address(), a) << "the very same object";
  write("d/b.yaml", a_namespace("x"));  // of the same length
  EXPECT_EQ(load_again(), (Outcome{{"a", "x", "c"}, 1}));
  write("d/b.yaml", a_namespace("z"));  // at once: its times may be the same
  EXPECT_EQ(load_again(), (Outcome{{"a", "z", "c"}, 1}));
  fs::remove(path("d/a.yaml"));
  write("d/aa.yaml", a_namespace("aa"));
  settle();
  EXPECT_EQ(load_again(), (Outcome{{"aa", "z", "c"}, 2}));
  EXPECT_EQ(load_again(), (Outcome{{"aa", "z", "c"}, 0}));
  fs::rename(path("d/c.yaml"), path("d/d.yaml"));
  EXPECT_EQ(load_again(), (Outcome{{"aa", "z", "c"}, 1}));
}

// As a Kubernetes volume does it, there and back: its times alone would say that the first file
// is what was read.
TEST_F(AgainTest, DoesNotKnowAFileThatAnotherStoodInForWhenItWasRead) {
  settle();
  const std::string link = path("link");
  const auto point_at = [&](const char* file) {
    fs::create_symlink(path(file), path("new"));
    fs::rename(path("new"), link);
  };
  for (const bool swapped : {false, true}) {
    point_at("d/a.yaml");
    ReadFiles known;
    known.begin();
    EXPECT_EQ(known.find(link), nullptr);
    if (swapped) {
      point_at("d/b.yaml");
    }
    known.keep(link, std::make_shared<const ResourceFile>("", 0, false, nullptr));
    point_at("d/a.yaml");
    known.begin();
    EXPECT_EQ(known.find(link) == nullptr, swapped);
  }
}

TEST_F(AgainTest, SaysWhatIsWrongWithAFileThatDidNotChangeAgain) {
  write("d/c.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Odd\n");
  settle();
  load_again();
  const Lines first = lines_of(loaded_);
  EXPECT_EQ(errors(), 3) << "twice the same object, and one that is none";
  EXPECT_EQ(load_again().second, 0u);
  EXPECT_EQ(lines_of(loaded_), first);
  fs::remove(path("d/a.yaml"));
  load_again();
  EXPECT_EQ(errors(), 1);
}

// Documents come, go, change and break at random; load_again() compares with a load that knows
// nothing.
TEST_F(AgainTest, SaysOfChangedDocumentsWhatALoadAnewSays) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](size_t below) { return random() % below; };
  const auto times = [](const char* text, int n) {
    std::string out;
    for (; n > 0; --n) {
      out += text;
    }
    return out;
  };
  const auto document = [&] {
    const std::string name(1, static_cast<char>('a' + pick(12)));
    const std::string forms[] = {
        a_namespace(name),
        a_namespace(name),
        a_namespace(name) + "\n# more\n",
        "kind: Odd\n",
        "a: [\n",
        "{apiVersion: v1, kind: Service, metadata: {name: " + name + "}}\n",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\nstatus: {x: &x [a" +
            times(", a", 99) + "], y: [*x" + times(", *x", 59) + "]}\n"};
    return "---\n" + forms[pick(std::size(forms))];
  };
  std::vector<std::vector<std::string>> files(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string>& file = files[pick(files.size())];
    const size_t at = pick(file.size() + 1);
    const auto place = file.begin() + static_cast<std::ptrdiff_t>(at);
    if (at == file.size() || pick(3) == 0) {
      file.insert(place, document());
    } else if (pick(3) == 0) {
      file.erase(place);
    } else {
      *place = document();
    }
    for (size_t i = 0; i < files.size(); ++i) {
      std::string text = "# nothing else\n";
      for (const std::string& one : files[i]) {
        text += one;
      }
      write("d/" + std::string(1, static_cast<char>('a' + i)) + ".yaml", text);
    }
    load_again();
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

// They may have left too little to it before.
TEST_F(AgainTest, ParsesADocumentAgainWhenThoseBeforeItHaveFewerAliases) {
  const auto text = [](int first, int second) {
    std::string out;
    for (const int aliases : {first, second}) {
      out += a_namespace("n" + std::to_string(out.size())) + "\nstatus: {a: &a [x";
      for (int i = 0; i < 99; ++i) {
        out += ", x";
      }
      out += "], b: [*a";
      for (int i = 0; i < aliases; ++i) {
        out += ", *a";
      }
      out += "]}\n---\n";
    }
    return out;
  };
  write("d/a.yaml", text(70, 70));
  load_again();
  EXPECT_FALSE(loaded_.ok());
  write("d/a.yaml", text(7, 70));
  load_again();
  EXPECT_TRUE(loaded_.ok());
}

TEST_F(AgainTest, KnowsTheFilesStillAfterASlipInTheSettings) {
  settle();
  load_again();
  std::ifstream in(path("sluice.yaml"));
  const std::string settings{std::istreambuf_iterator<char>(in), {}};
  write("sluice.yaml", "node: [");
  load_again();
  EXPECT_FALSE(loaded_.ok());
  write("sluice.yaml", settings);
  EXPECT_EQ(load_again().second, 0u);
  EXPECT_TRUE(loaded_.ok());
}

TEST_F(AgainTest, ParsesOnlyTheDocumentsThatChanged) {
  write("d/a.yaml",
        a_namespace("p") + "\n---\n" + a_namespace("q") + "\n---\n" + a_namespace("r") + "\n");
  load_again();
  const Objects<Namespace> before = loaded_.model.namespaces;
  write("d/a.yaml",
        a_namespace("p") + "\n---\n" + a_namespace("x") + "\n---\n" + a_namespace("r") + "\n");
  load_again();
  EXPECT_TRUE(loaded_.model.namespaces.at(0).is(before.at(0)));
  EXPECT_FALSE(loaded_.model.namespaces.at(1).is(before.at(1)));
  EXPECT_TRUE(loaded_.model.namespaces.at(2).is(before.at(2)));
}

TEST_F(AgainTest, AFileThatCannotBeReadAnyMoreIsNotTheFileThatItWas) {
  settle();
  load_again();
  fs::remove(path("d/b.yaml"));
  ASSERT_EQ(mkfifo(path("d/b.yaml").c_str(), 0600), 0);
  load_again();
  EXPECT_FALSE(loaded_.ok());
}

}  // namespace
}  // namespace sluice::config
