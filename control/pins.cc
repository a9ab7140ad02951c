// SPDX-License-Identifier: Apache-2.0
#include "control/pins.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <linux/magic.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/vfs.h>

namespace sluice::control {
namespace {

namespace fs = std::filesystem;

bool is_bpf(const std::string& directory) {
  struct statfs about {};
  return statfs(directory.c_str(), &about) == 0 && about.f_type == BPF_FS_MAGIC;
}

std::string interface_of(std::string_view pin) {
  unsigned index = 0;
  std::from_chars(pin.data(), pin.data() + pin.size(), index);
  char name[IF_NAMESIZE] = {};
  return if_indextoname(index, name) != nullptr ? name : "interface #" + std::string(pin);
}

}  // namespace

std::string pin_directory(const std::string& state) {
  return state + "/bpf";
}

Status mount_pins(const std::string& state) {
  const std::string directory = pin_directory(state);
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error && !is_bpf(directory) &&
      mount("bpf", directory.c_str(), "bpf", 0, "mode=0700") != 0) {
    error.assign(errno, std::generic_category());
  }
  if (error) {
    return Error{
        "path.onExit: drop needs a BPF file system at " + directory + ": " + error.message(),
        "path.onExit: kernel does without; control.state names another directory"};
  }
  return Ok{};
}

bool mounts_are_private() {
  std::error_code error;
  const fs::path ours = fs::read_symlink("/proc/self/ns/mnt", error);
  const fs::path machine = fs::read_symlink("/proc/1/ns/mnt", error);
  return !error && ours != machine;
}

Result<std::vector<std::string>> release_pins(const std::string& state) {
  const std::string directory = pin_directory(state);
  std::vector<std::string> released;
  std::error_code error;
  if (!fs::exists(directory, error)) {
    return released;
  }
  if (is_bpf(directory)) {
    for (const fs::directory_entry& pin : fs::directory_iterator(directory, error)) {
      const std::string name = pin.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) {
        continue;  // the kernel's own: maps.debug, progs.debug
      }
      if (!fs::remove(pin.path(), error)) {
        return Error{pin.path().string() + ": " + error.message(), "run as root"};
      }
      released.push_back(interface_of(name));
    }
    umount2(directory.c_str(), MNT_DETACH);  // EINVAL where somebody else's is used
  }
  fs::remove(directory, error);
  return released;
}

}  // namespace sluice::control
