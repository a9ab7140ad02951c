// SPDX-License-Identifier: Apache-2.0
#include "fastpath/xdp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

namespace sluice {
namespace {

alignas(8) constexpr unsigned char kObject[] = {
#include "fastpath/sluice_xdp_bytes.h"
};

// As in sluice_xdp.bpf.c.
constexpr uint32_t kTakeAllSetting = 0, kUplinkSetting = 1, kKernelEndSetting = 2,
                   kWorkerEndSetting = 3, kIp6Setting = 4;
constexpr uint32_t kMaxQueues = 1024;
struct PrefixKey {
  uint32_t length;
  Be32 address;
};
static_assert(sizeof(PrefixKey) == 8);
struct Prefix6Key {
  uint32_t length;
  Be32 address[4];
};
static_assert(sizeof(Prefix6Key) == 20);
struct Passport {
  MacAddress mac;
  uint8_t used = 0;
  uint8_t unused = 0;
};
static_assert(sizeof(Passport) == 8);

std::string name_of(int ifindex) {
  char name[IF_NAMESIZE] = {};
  if (if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr) {
    return "interface #" + std::to_string(ifindex);
  }
  return "interface \"" + std::string(name) + "\"";
}

// The failure of a call that sets errno.
Error failed(const std::string& what) {
  return Error{what + ": " + std::generic_category().message(errno)};
}

Error busy(int ifindex, uint32_t program) {
  bpf_prog_info info{};
  uint32_t length = sizeof(info);
  std::string name = "?";
  if (const int fd = bpf_prog_get_fd_by_id(program); fd >= 0) {
    if (bpf_obj_get_info_by_fd(fd, &info, &length) == 0) {
      name = info.name;
    }
    close(fd);
  }
  char text[IF_NAMESIZE] = "DEV";
  if_indextoname(static_cast<unsigned>(ifindex), text);
  return Error{name_of(ifindex) + ": XDP program " + std::to_string(program) + " (" + name +
                   ") is attached already",
               "if nothing needs it: ip link set dev " + std::string(text) + " xdp off"};
}

// REQUIRES: is_v4().
PrefixKey key_of(const Prefix& prefix) {
  return {prefix.written_length(), Be32::of(prefix.base.v4().value)};
}

Prefix6Key key6_of(const Prefix& prefix) {
  const auto [hi, lo] = prefix.base;
  return {prefix.length,
          {Be32::of(static_cast<uint32_t>(hi >> 32)), Be32::of(static_cast<uint32_t>(hi)),
           Be32::of(static_cast<uint32_t>(lo >> 32)), Be32::of(static_cast<uint32_t>(lo))}};
}

Be32 key_of_node(Ip4 address) {
  return Be32::of(address.value);
}

// Brings a map and our picture of it to `wanted`.  Adds first: what stays is never missing.
template <typename Item, typename Key>
Status make_equal(int map, std::set<Item>& held, const std::set<Item>& wanted, Key key_of,
                  const char* what) {
  const uint8_t present = 1;
  for (const Item& item : wanted) {
    const auto key = key_of(item);
    if (!held.contains(item)) {
      if (bpf_map_update_elem(map, &key, &present, BPF_ANY) != 0) {
        return failed(std::string(what) + " " + to_string(item) +
                      " cannot be told to the kernel");
      }
      held.insert(item);
    }
  }
  for (auto it = held.begin(); it != held.end();) {
    const auto key = key_of(*it);
    if (wanted.contains(*it)) {
      ++it;
      continue;
    }
    bpf_map_delete_elem(map, &key);
    it = held.erase(it);
  }
  return Ok{};
}

int quiet(libbpf_print_level, const char*, va_list) {
  return 0;
}

}  // namespace

Result<std::unique_ptr<Xdp>> Xdp::load() {
  libbpf_set_print(quiet);
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);  // best effort: kernels before 5.11 need it
  std::unique_ptr<Xdp> self(new Xdp());
  self->object_ = bpf_object__open_mem(kObject, sizeof(kObject), nullptr);
  if (self->object_ == nullptr) {
    return failed("XDP programs cannot be read");
  }
  if (bpf_object__load(self->object_) != 0) {
    Error error = failed("XDP programs are refused by the kernel");
    error.hint = "run as root (CAP_BPF and CAP_NET_ADMIN); the kernel must be 5.10 or newer";
    return error;
  }
  return self;
}

Xdp::~Xdp() {
  for (const auto& [ifindex, attached] : attached_) {
    close(attached.link_fd);
  }
  bpf_object__close(object_);
}

int Xdp::map_fd(const char* name) const {
  return bpf_object__find_map_fd_by_name(object_, name);
}

int Xdp::program_fd(const char* name) const {
  return bpf_program__fd(bpf_object__find_program_by_name(object_, name));
}

Status Xdp::attach(int ifindex, XdpRole role) {
  if (attached_.contains(ifindex)) {
    return Ok{};
  }
  const int fd = program_fd(role == XdpRole::pod ? "sluice_pod" : "sluice_uplink");
  uint32_t program = 0;
  if (bpf_xdp_query_id(ifindex, 0, &program) == 0 && program != 0) {
    const int link = take_over(ifindex, program, fd);
    if (link < 0) {
      return busy(ifindex, program);
    }
    attached_[ifindex] = {link, false};
    return Ok{};
  }
  int native_error = 0;
  for (const uint32_t mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options);
    options.flags = mode;
    const int link = bpf_link_create(fd, ifindex, BPF_XDP, &options);
    if (link >= 0) {
      attached_[ifindex] = {link, mode == XDP_FLAGS_SKB_MODE};
      return keep_ ? pin(ifindex) : Ok{};
    }
    if (mode == XDP_FLAGS_DRV_MODE) {
      native_error = errno;
    }
  }
  return Error{name_of(ifindex) + ": XDP program cannot be attached: native mode: " +
                   std::generic_category().message(native_error) +
                   "; generic mode: " + std::generic_category().message(errno),
               errno == EPERM ? "run as root, or with CAP_NET_ADMIN and CAP_BPF" : ""};
}

std::string Xdp::pin_of(int ifindex) const {
  return pins_ + "/" + std::to_string(ifindex);
}

// The link of an earlier process of ours, if it is what holds `attached` on the interface, with
// our program in place of its own from now on; or -1.
int Xdp::take_over(int ifindex, uint32_t attached, int program) const {
  const int link = bpf_obj_get(pin_of(ifindex).c_str());
  if (link < 0) {
    return -1;
  }
  bpf_link_info info{};
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(link, &info, &length) == 0 && info.type == BPF_LINK_TYPE_XDP &&
      info.prog_id == attached && bpf_link_update(link, program, nullptr) == 0) {
    return link;
  }
  close(link);
  return -1;
}

Status Xdp::pin(int ifindex) const {
  const std::string path = pin_of(ifindex);
  unlink(path.c_str());
  if (bpf_obj_pin(attached_.at(ifindex).link_fd, path.c_str()) != 0) {
    return failed(name_of(ifindex) + ": XDP program cannot be pinned at " + path);
  }
  return Ok{};
}

Status Xdp::keep(bool on) {
  keep_ = on;
  std::set<std::string> wanted;
  for (const auto& [ifindex, attached] : attached_) {
    if (on) {
      wanted.insert(pin_of(ifindex));
      if (Status s = pin(ifindex); !s) {
        return s;
      }
    }
  }
  std::error_code error;
  for (const auto& pin : std::filesystem::directory_iterator(pins_, error)) {
    if (!wanted.contains(pin.path())) {
      unlink(pin.path().c_str());  // EPERM for the kernel's own, maps.debug and progs.debug
    }
  }
  return Ok{};
}

bool Xdp::generic(int ifindex) const {
  const auto it = attached_.find(ifindex);
  return it != attached_.end() && it->second.generic;
}

void Xdp::detach(int ifindex) {
  if (const auto it = attached_.find(ifindex); it != attached_.end()) {
    close(it->second.link_fd);
    unlink(pin_of(ifindex).c_str());
    attached_.erase(it);
  }
}

Status Xdp::bind(int ifindex, uint32_t queue, int socket_fd) {
  const QueueKey key{static_cast<uint32_t>(ifindex), queue};
  uint32_t slot = 0;
  if (const auto it = slots_.find(key); it != slots_.end()) {
    slot = it->second;
  } else {
    std::set<uint32_t> taken;
    for (const auto& [unused, each] : slots_) {
      taken.insert(each);
    }
    while (taken.contains(slot)) {
      ++slot;
    }
  }
  if (slot >= kMaxQueues) {
    return Error{name_of(ifindex) + ": " + std::to_string(kMaxQueues) +
                 " queues are served, the limit"};
  }
  if (bpf_map_update_elem(map_fd("sockets"), &slot, &socket_fd, BPF_ANY) != 0 ||
      bpf_map_update_elem(map_fd("slots"), &key, &slot, BPF_ANY) != 0) {
    return failed(name_of(ifindex) + " queue " + std::to_string(queue) +
                  ": socket cannot be told to the kernel");
  }
  slots_[key] = slot;
  return Ok{};
}

void Xdp::unbind(int ifindex, uint32_t queue) {
  const QueueKey key{static_cast<uint32_t>(ifindex), queue};
  if (const auto it = slots_.find(key); it != slots_.end()) {
    bpf_map_delete_elem(map_fd("slots"), &key);
    bpf_map_delete_elem(map_fd("sockets"), &it->second);
    slots_.erase(it);
  }
}

Status Xdp::set_node_addresses(const std::vector<Ip4>& addresses) {
  return make_equal(map_fd("nodes"), nodes_, std::set<Ip4>(addresses.begin(), addresses.end()),
                    key_of_node, "node address");
}

Status Xdp::set_local(const std::vector<Prefix>& prefixes) {
  std::set<Prefix> wanted, wanted6;
  for (const Prefix& prefix : prefixes) {
    (prefix.is_v4() ? wanted : wanted6).insert(prefix);
  }
  if (Status s = make_equal(map_fd("ours"), local_, wanted, key_of, "local prefix"); !s) {
    return s;
  }
  return make_equal(map_fd("ours6"), local6_, wanted6, key6_of, "local prefix");
}

Status Xdp::set(uint32_t setting, uint32_t value) {
  if (bpf_map_update_elem(map_fd("settings"), &setting, &value, BPF_ANY) != 0) {
    return failed("XDP settings cannot be told to the kernel");
  }
  return Ok{};
}

Status Xdp::set_node_way(const NodeWay& way) {
  Passport passport;
  passport.used = generic(way.uplink) ? 1 : 0;
  if (getrandom(&passport.mac, sizeof(passport.mac), 0) != sizeof(passport.mac)) {
    return failed("no random address for the uplink");
  }
  passport.mac.bytes[0] = static_cast<uint8_t>((passport.mac.bytes[0] & 0xfe) | 0x02);
  const uint32_t zero = 0;
  if (bpf_map_update_elem(map_fd("passports"), &zero, &passport, BPF_ANY) != 0) {
    return failed("XDP settings cannot be told to the kernel");
  }
  const std::pair<uint32_t, int> interfaces[] = {{kUplinkSetting, way.uplink},
                                                 {kKernelEndSetting, way.kernel_end},
                                                 {kWorkerEndSetting, way.worker_end}};
  for (const auto& [which, ifindex] : interfaces) {
    if (Status s = set(which, static_cast<uint32_t>(ifindex)); !s) {
      return s;
    }
  }
  return Ok{};
}

int Xdp::from_worker() const {
  return program_fd("sluice_from_worker");
}

int Xdp::to_worker() const {
  return program_fd("sluice_to_worker");
}

Status Xdp::set_ip6(XdpIp6 mode) {
  return set(kIp6Setting, static_cast<uint32_t>(mode));
}

Status Xdp::set_take_all(bool all) {
  return set(kTakeAllSetting, all ? 1 : 0);
}

}  // namespace sluice
