// SPDX-License-Identifier: Apache-2.0
// sluice.yaml: what each key means, what is refused and where, and the sample that is shipped.
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/config/findings_of.h"

namespace sluice::config {
namespace {

const std::string kLeast = "node: n1\nuplink: {interface: e, addresses: [10.0.0.1/8]}\n";

// All settings as text, to compare and to show.
std::string describe(const Settings& s) {
  std::ostringstream out;
  out << "node=" << s.node << "\nresources=";
  for (const std::string& r : s.resources) {
    out << r << ' ';
  }
  const Uplink& u = s.uplink;
  out << "\ninterface=" << u.interface << "\ndevice=" << u.device << "\naddresses=";
  for (const Uplink::InterfaceAddress& a : u.addresses) {
    const unsigned family = a.address.is_v4() ? 96 : 0;
    out << to_string(a.address) << '/' << a.length - family << ' ';
  }
  out << "\ngateway=" << (u.gateway ? to_string(*u.gateway) : "")
      << "\ngateway6=" << (u.gateway6 ? to_string(*u.gateway6) : "")
      << "\nmac=" << (u.mac ? to_string(*u.mac) : "") << "\nneighbours=";
  for (const auto& [ip, mac] : u.neighbours) {
    out << to_string(ip) << '=' << to_string(mac) << ' ';
  }
  out << "\ntunnel=" << (s.tunnel_address ? to_string(*s.tunnel_address) : "") << "\nroutes=";
  for (const StaticRoute& r : s.routes) {
    out << to_string(r.block) << '>' << to_string(r.node) << (r.tunnel ? "" : "direct") << ' ';
  }
  out << "\ncores=";
  for (const unsigned core : s.workers.cores) {
    out << core << ' ';
  }
  const auto& c = s.connections;
  const auto& p = s.path;
  out << "\npoll=" << s.workers.poll << "\nmax=" << c.max << "\nbpf=" << c.calico_bpf_timeouts
      << "\nrecheck=" << c.recheck << "\nshare=" << c.endpoint_share << "\nip6=" << p.ip6
      << "\nloose=" << static_cast<int>(p.tcp_loose) << "\nliberal=" << p.tcp_liberal
      << "\noptions=" << static_cast<int>(p.ip_options)
      << "\nchecksum=" << static_cast<int>(p.l4_checksum) << "\nuplinkIp6=" << p.uplink_ip6_punt
      << "\ntransit=" << p.transit_allow << "\nonExit=" << static_cast<int>(p.on_exit)
      << "\ntun=" << p.tun_from_workload << "\nl2=" << p.punt_unknown_l2
      << "\npunt=" << p.punt_rate << "\npuntArp=" << p.punt_arp_rate
      << "\nhttp=" << s.policy.http_l4 << "\nmemory=" << s.policy.memory
      << "\nsocket=" << s.control.socket << "\nmetrics=" << s.control.metrics
      << "\nstate=" << s.control.state << "\n";
  return out.str();
}

// The lines of `describe` that `text` changes, with a warning if the key is `unread`.
std::string changed(const std::string& text, const std::string& unread) {
  const Loaded before = load_settings_text(kLeast, kTestFile);
  const Loaded after = load_settings_text(text, kTestFile);
  EXPECT_EQ(all_of(before), "");
  EXPECT_EQ(all_of(after), unread.empty() ? "" : "t.yaml:" + unread + " is not applied yet\n");
  std::istringstream old_lines(describe(before.model.settings));
  std::istringstream new_lines(describe(after.model.settings));
  std::string out;
  for (std::string a, b; std::getline(old_lines, a) && std::getline(new_lines, b);) {
    out += a == b ? "" : b + ";";
  }
  return out;
}

std::string uplink(const std::string& more) {
  return "node: n1\nuplink: {interface: e, addresses: [10.0.0.1/8], " + more + "}\n";
}

struct Key {
  const char* name;  // where it stands in sluice.yaml
  std::string text;
  std::string changed;
  std::string unread = {};  // the warning's place and field
};
void PrintTo(const Key& key, std::ostream* out) {
  *out << key.name;
}
class SettingsKey : public testing::TestWithParam<Key> {};

TEST_P(SettingsKey, ChangesOneThing) {
  EXPECT_EQ(changed(GetParam().text, GetParam().unread), GetParam().changed);
}

const Key kKeys[] = {
    {"node", "node: n2\nuplink: {interface: e, addresses: [10.0.0.1/8]}\n", "node=n2;"},
    {"resources", kLeast + "resources: [a, b.yaml]\n", "resources=a b.yaml ;"},
    {"uplink.interface", "node: n1\nuplink: {interface: ens10, addresses: [10.0.0.1/8]}\n",
     "interface=ens10;"},
    {"uplink.device", "node: n1\nuplink: {device: \"0000:3b:00.0\", addresses: [10.0.0.1/8]}\n",
     "interface=;device=0000:3b:00.0;"},
    {"uplink.addresses",
     "node: n1\nuplink: {interface: e, addresses: [192.168.1.2/24, 10.0.0.0/0]}\n",
     "addresses=192.168.1.2/24 10.0.0.0/0 ;"},
    {"uplink.addresses of IPv6",
     "node: n1\nuplink: {interface: e, addresses: [10.0.0.1/8, \"2001:db8::1/64\"]}\n",
     "addresses=10.0.0.1/8 2001:db8::1/64 ;"},
    {"uplink.addresses of IPv6 only",
     "node: n1\nuplink: {interface: e, addresses: [\"fd00::1/128\"]}\n",
     "addresses=fd00::1/128 ;"},
    {"uplink.gateway", uplink("gateway: 10.9.9.9"), "gateway=10.9.9.9;"},
    {"uplink.gateway6", uplink("gateway6: \"fe80::1\""), "gateway6=fe80::1;"},
    {"uplink.gateway6 in a subnet",
     "node: n1\nuplink: {interface: e, addresses: [10.0.0.1/8, \"fd00::1/64\"], "
     "gateway6: \"fd00::fe\"}\n",
     "addresses=10.0.0.1/8 fd00::1/64 ;gateway6=fd00::fe;"},
    {"uplink.mac", uplink("mac: \"02:00:00:00:00:11\""), "mac=02:00:00:00:00:11;",
     "2:54: warning: settings.uplink.mac: beside interface"},
    {"uplink.mac of a device",
     "node: n1\nuplink: {device: d, addresses: [10.0.0.1/8], mac: \"02:00:00:00:00:11\"}\n",
     "interface=;device=d;mac=02:00:00:00:00:11;"},
    {"uplink.mac without quotes", uplink("mac: 12:34:56:00:00:11"), "mac=12:34:56:00:00:11;",
     "2:54: warning: settings.uplink.mac: beside interface"},
    {"uplink.neighbours", uplink("neighbours: {10.0.0.2: \"02:00:00:00:00:12\"}"),
     "neighbours=10.0.0.2=02:00:00:00:00:12 ;"},
    {"uplink.neighbours of IPv6", uplink("neighbours: {\"fd00::2\": \"02:00:00:00:00:12\"}"),
     "neighbours=fd00::2=02:00:00:00:00:12 ;"},
    {"tunnel.address", kLeast + "tunnel: {address: 10.1.2.3}\n", "tunnel=10.1.2.3;"},
    {"routes.block", kLeast + "routes: [{block: 10.1.0.0/26, node: 10.0.0.9}]\n",
     "routes=10.1.0.0/26>10.0.0.9 ;"},
    {"routes.mode ipip",
     kLeast + "routes: [{block: 10.1.0.0/26, node: 10.0.0.9, mode: ipip}]\n",
     "routes=10.1.0.0/26>10.0.0.9 ;"},
    {"routes.mode direct",
     kLeast + "routes: [{block: 10.1.0.0/26, node: 10.0.0.9, mode: direct}]\n",
     "routes=10.1.0.0/26>10.0.0.9direct ;"},
    {"routes of IPv6",
     kLeast + "routes: [{block: \"fd00:1::/122\", node: \"fd00::9\", mode: direct}]\n",
     "routes=fd00:1::/122>fd00::9direct ;"},
    {"workers.cores", kLeast + "workers: {cores: [1, 3]}\n", "cores=1 3 ;"},
    {"workers.idle", kLeast + "workers: {idle: poll}\n", "poll=1;"},
    {"connections.max", kLeast + "connections: {max: 1024}\n", "max=1024;"},
    {"connections.timeouts", kLeast + "connections: {timeouts: calico-bpf}\n", "bpf=1;"},
    {"connections.onPolicyChange", kLeast + "connections: {onPolicyChange: recheck}\n",
     "recheck=1;"},
    {"connections.endpointShare", kLeast + "connections: {endpointShare: 0.25}\n",
     "share=0.25;", ""},
    {"connections.endpointShare 1", kLeast + "connections: {endpointShare: 1}\n", "share=1;",
     ""},
    {"path.ip6", kLeast + "path: {ip6: off}\n", "ip6=0;"},
    {"path.ip6 false", kLeast + "path: {ip6: false}\n", "ip6=0;"},
    {"path.ip6 on", kLeast + "path: {ip6: on}\n", ""},
    {"path.tcpLoose on", kLeast + "path: {tcpLoose: on}\n", "loose=1;"},
    {"path.tcpLoose off", kLeast + "path: {tcpLoose: off}\n", "loose=2;"},
    {"path.tcpLiberal", kLeast + "path: {tcpLiberal: true}\n", "liberal=1;", ""},
    {"path.ipOptions", kLeast + "path: {ipOptions: allow}\n", "options=1;"},
    {"path.l4Checksum full", kLeast + "path: {l4Checksum: full}\n", "checksum=1;"},
    {"path.l4Checksum off", kLeast + "path: {l4Checksum: off}\n", "checksum=2;"},
    {"path.uplinkIp6", kLeast + "path: {uplinkIp6: drop}\n", "uplinkIp6=0;"},
    {"path.transit", kLeast + "path: {transit: allow}\n", "transit=1;"},
    {"path.onExit", kLeast + "path: {onExit: kernel}\n", "onExit=1;"},
    {"path.tunFromWorkload", kLeast + "path: {tunFromWorkload: allow}\n", "tun=1;"},
    {"path.puntUnknownL2", kLeast + "path: {puntUnknownL2: on}\n", "l2=1;",
     "3:23: warning: settings.path.puntUnknownL2:"},
    {"path.puntRate", kLeast + "path: {puntRate: 1000}\n", "punt=1000;"},
    {"path.puntRate 0", kLeast + "path: {puntRate: 0}\n", "punt=0;"},
    {"path.puntArpRate", kLeast + "path: {puntArpRate: 10000000}\n", "puntArp=10000000;"},
    {"policy.httpRules", kLeast + "policy: {httpRules: l4}\n", "http=1;"},
    {"policy.memory", kLeast + "policy: {memory: 64Mi}\n", "memory=67108864;"},
    {"policy.memory bytes", kLeast + "policy: {memory: 1048576}\n", "memory=1048576;"},
    {"control.socket", kLeast + "control: {socket: /tmp/s}\n", "socket=/tmp/s;"},
    {"control.metrics", kLeast + "control: {metrics: \"[::1]:9\"}\n", "metrics=[::1]:9;",
     "3:20: warning: settings.control.metrics:"},
    {"control.state", kLeast + "control: {state: /tmp/d}\n", "state=/tmp/d;"},
};
INSTANTIATE_TEST_SUITE_P(Settings, SettingsKey, testing::ValuesIn(kKeys));

TEST(Settings, HaveTheseDefaults) {
  const Loaded loaded = load_settings_text(kLeast, kTestFile);
  EXPECT_EQ(all_of(loaded), "");
  EXPECT_EQ(
      describe(loaded.model.settings),
      "node=n1\nresources=\ninterface=e\ndevice=\naddresses=10.0.0.1/8 "
      "\ngateway=\ngateway6=\nmac=\n"
      "neighbours=\ntunnel=\nroutes=\ncores=0 \npoll=0\nmax=1000000\nbpf=0\nrecheck=0\n"
      "share=0.5\nip6=1\nloose=0\nliberal=0\noptions=0\nchecksum=0\nuplinkIp6=1\n"
      "transit=0\nonExit=0\ntun=0\nl2=0\npunt=20000\npuntArp=2000\nhttp=0\nmemory=1073741824\n"
      "socket=/run/sluice/control.sock\nmetrics=127.0.0.1:9091\nstate=/run/sluice\n");
}

struct Wrong {
  std::string text;     // from line 3 on; the first two are kLeast's
  std::string finding;  // the only one
};
void PrintTo(const Wrong& wrong, std::ostream* out) {
  *out << wrong.text;
}
class WrongSetting : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSetting, IsAnErrorAtItsPlace) {
  const Loaded loaded = load_settings_text(kLeast + GetParam().text, kTestFile);
  EXPECT_EQ(lines_of(loaded), std::vector<std::string>{"t.yaml:" + GetParam().finding});
  EXPECT_FALSE(loaded.ok());
}

const std::string kHasNoValue =
    ": has no value | hint: leave the field out, or give it a value";

const Wrong kWrong[] = {
    {"worker: {}\n",
     "3:1: error: unknown field \"worker\" in settings | hint: did you mean "
     "\"workers\"?"},
    {"zzzzzz: 1\n", "3:1: error: unknown field \"zzzzzz\" in settings"},
    {"path:\n  tcploose: on\n",
     "4:3: error: unknown field \"tcploose\" in settings.path | "
     "hint: did you mean \"tcpLoose\"?"},
    {"tunnel: {addr: 1.1.1.1}\n", "3:10: error: unknown field \"addr\" in settings.tunnel"},
    {"routes: [{block: 10.1.0.0/26, node: 10.0.0.1, weight: 1}]\n",
     "3:47: error: unknown field \"weight\" in settings.routes[0]"},
    {"path:\n", "3:1: error: settings.path" + kHasNoValue},
    {"resources:\nworkers: {cores: [0]}\n", "3:1: error: settings.resources" + kHasNoValue},
    {"resources: [~]\n",
     "3:12: error: settings.resources: entry [0] is empty | hint: remove the entry"},
    {"resources: policy.d\n", "3:12: error: settings.resources: a list is expected"},
    {"resources: [\"\"]\n",
     "3:13: error: settings.resources[0]: is empty | hint: leave the "
     "field out, or give it a value"},
    {"workers: [0]\n", "3:10: error: settings.workers: a map is expected"},
    {"workers: {cores: 1}\n", "3:18: error: settings.workers.cores: a list is expected"},
    {"workers: {cores: []}\n",
     "3:18: error: settings.workers.cores: 1 to 64 cores are expected"},
    {"workers: {cores: [010]}\n",
     "3:19: error: settings.workers.cores[0]: a whole number from 0 "
     "to 1023 is expected, not \"010\""},
    {"workers: {cores: [2, 2]}\n",
     "3:22: error: settings.workers.cores[1]: core 2 is named twice"},
    {"workers: {idle: polling}\n",
     "3:17: error: settings.workers.idle: \"polling\" is not one "
     "of: poll, adaptive | hint: did you mean \"poll\"?"},
    {"path: {puntRate: 10000001}\n",
     "3:18: error: settings.path.puntRate: a whole number from 0 to 10000000 is expected, "
     "not \"10000001\""},
    {"path: {puntArpRate: off}\n",
     "3:21: error: settings.path.puntArpRate: a whole number from 0 to 10000000 is expected, "
     "not \"off\""},
    {"connections: {max: 1000}\n",
     "3:20: error: settings.connections.max: a whole number from "
     "1024 to 100000000 is expected, not \"1000\""},
    {"connections: {max: 100000001}\n",
     "3:20: error: settings.connections.max: a whole number from 1024 to 100000000 is "
     "expected, "
     "not \"100000001\""},
    {"connections: {max: 1e6}\n",
     "3:20: error: settings.connections.max: a whole number from "
     "1024 to 100000000 is expected, not \"1e6\""},
    {"connections: {max: -5000}\n",
     "3:20: error: settings.connections.max: a whole number from "
     "1024 to 100000000 is expected, not \"-5000\""},
    {"connections: {max: \"5000\"}\n",
     "3:20: error: settings.connections.max: a whole number from 1024 to 100000000 is "
     "expected, "
     "not \"5000\" | hint: write it without quotes"},
    {"connections: {max: [1]}\n",
     "3:20: error: settings.connections.max: a whole number from "
     "1024 to 100000000 is expected"},
    {"connections: {endpointShare: 0}\n",
     "3:30: error: settings.connections.endpointShare: a "
     "share above 0 and up to 1 is expected"},
    {"connections: {endpointShare: .nan}\n",
     "3:30: error: settings.connections.endpointShare: a number is expected, not \".nan\""},
    {"connections: {endpointShare: half}\n",
     "3:30: error: settings.connections.endpointShare: a number is expected, not \"half\""},
    {"path: {ip6: yes}\n", "3:13: error: settings.path.ip6: \"yes\" is not one of: on, off"},
    {"path: {tcpLiberal: \"\"}\n",
     "3:20: error: settings.path.tcpLiberal: \"\" is not one of: on, off"},
    {"path: {onExit: keep}\n",
     "3:16: error: settings.path.onExit: \"keep\" is not one of: drop, kernel"},
    {"tunnel: {address: \"fd00::1\"}\n",
     "3:19: error: settings.tunnel.address: \"fd00::1\" is no IPv4 address"},
    {"tunnel: {address: 10.0.0.01}\n",
     "3:19: error: settings.tunnel.address: \"10.0.0.01\" is no IPv4 address"},
    {"routes: [{block: 10.1.0.0/33, node: 10.0.0.1}]\n",
     "3:18: error: settings.routes[0].block: \"10.1.0.0/33\" is no CIDR | hint: write it as "
     "10.0.0.0/8 or fd00::/8"},
    {"routes: [{block: 10.1.0.1/26, node: 10.0.0.1}]\n",
     "3:18: error: settings.routes[0].block: \"10.1.0.1/26\" has host bits set | hint: write "
     "it "
     "as 10.1.0.0/26"},
    {"routes: [{block: \"fd00::/64\", node: 10.0.0.1}]\n",
     "3:10: error: settings.routes[0]: block fd00::/64 and node 10.0.0.1 are of two IP "
     "versions"},
    {"routes: [{block: \"fd00::/64\", node: \"fd01::1\"}]\n",
     "3:10: error: settings.routes[0]: IPIP carries IPv4 only | hint: mode: direct"},
    {"routes: [{block: \"fd00::/64\", node: \"fd01::1\", mode: ipip}]\n",
     "3:54: error: settings.routes[0].mode: IPIP carries IPv4 only | hint: mode: direct"},
    {"routes: [{block: 10.1.0.0/26, node: n2}]\n",
     "3:37: error: settings.routes[0].node: \"n2\" is no IP address"},
    {"routes: [{node: 10.0.0.1}]\n",
     "3:10: error: settings.routes[0]: a route needs a block and a node | hint: {block: "
     "10.244.1.0/26, node: 192.168.1.2}"},
    {"policy: {memory: 1G}\n",
     "3:18: error: settings.policy.memory: \"1G\" is no size from 1Mi "
     "on | hint: write it as 64Mi or 1Gi"},
    {"policy: {memory: 0}\n",
     "3:18: error: settings.policy.memory: \"0\" is no size from 1Mi on "
     "| hint: write it as 64Mi or 1Gi"},
    {"policy: {memory: 99999999999Gi}\n",
     "3:18: error: settings.policy.memory: \"99999999999Gi\" is no size from 1Mi on | hint: "
     "write it as 64Mi or 1Gi"},
    {"control: {metrics: 9091}\n",
     "3:20: error: settings.control.metrics: \"9091\" is no "
     "address with a port | hint: write it as 127.0.0.1:9091"},
    {"control: {state: 9091}\n",
     "3:18: error: settings.control.state: text is expected, and "
     "9091 is none to YAML | hint: write it in quotes: \"9091\""},
    {"control: {metrics: \"localhost:9091\"}\n",
     "3:20: error: settings.control.metrics: \"localhost:9091\" is no address with a port | "
     "hint: write it as 127.0.0.1:9091"},
    {"control: {metrics: \"127.0.0.1:0\"}\n",
     "3:20: error: settings.control.metrics: \"127.0.0.1:0\" is no address with a port | hint: "
     "write it as 127.0.0.1:9091"},
    {"control: {socket: /" + std::string(107, 'x') + "}\n",
     "3:19: error: settings.control.socket: longer than 107 bytes"},
    {"node: n2\n", "3:1: error: duplicate key \"node\", first in line 1"},
    {"---\nnode: n2\n", "1:1: error: one YAML document is expected"},
};
INSTANTIATE_TEST_SUITE_P(Settings, WrongSetting, testing::ValuesIn(kWrong));

class WrongUplink : public testing::TestWithParam<Wrong> {};

TEST_P(WrongUplink, IsAnErrorAtItsPlace) {
  const Loaded loaded =
      load_settings_text("node: n1\nuplink: {" + GetParam().text + "}\n", kTestFile);
  ASSERT_FALSE(lines_of(loaded).empty());
  EXPECT_EQ(lines_of(loaded).back(), "t.yaml:" + GetParam().finding);
  EXPECT_FALSE(loaded.ok());
}

const Wrong kWrongUplinks[] = {
    {"addresses: [10.0.0.1/8]",
     "2:9: error: settings.uplink: neither interface nor device is "
     "given | hint: interface: a kernel interface; device: a PCI "
     "address or DPDK devargs"},
    {"interface: e, device: f, addresses: [10.0.0.1/8]",
     "2:9: error: settings.uplink: interface and device exclude each other | hint: interface: "
     "a "
     "kernel interface; device: a PCI address or DPDK devargs"},
    {"interface: e",
     "2:9: error: settings.uplink: addresses is missing | hint: addresses: "
     "[192.168.100.111/24]"},
    {"interface: a23456789012345x, addresses: [10.0.0.1/8]",
     "2:21: error: settings.uplink.interface: \"a23456789012345x\" is no interface's name"},
    {"interface: e, addresses: [10.0.0.1]",
     "2:36: error: settings.uplink.addresses[0]: \"10.0.0.1\" is no address with its prefix "
     "length | hint: write it as 192.168.1.2/24 or fd00::2/64"},
    {"interface: e, addresses: [\"fd00::1/129\"]",
     "2:36: error: settings.uplink.addresses[0]: \"fd00::1/129\" is no address with its prefix "
     "length | hint: write it as 192.168.1.2/24 or fd00::2/64"},
    {"interface: e, addresses: [10.0.0.1/8, \"fe80::1/64\"]",
     "2:48: error: settings.uplink.addresses[1]: \"fe80::1/64\" is link-local | hint: leave it "
     "out: it is the interface's own; give global or unique local addresses"},
    {"interface: e, addresses: [10.0.0.1/24], gateway: \"fd00::1\"",
     "2:59: error: settings.uplink.gateway: \"fd00::1\" is no IPv4 address"},
    {"interface: e, addresses: [10.0.0.1/24], gateway6: 10.0.0.2",
     "2:60: error: settings.uplink.gateway6: \"10.0.0.2\" is no IPv6 address"},
    {"interface: e, addresses: [\"fd00::1/64\"], gateway6: \"fd00:0:0:1::1\"",
     "2:9: error: settings.uplink: gateway6 fd00:0:0:1::1 is in none of the addresses' "
     "subnets"},
    {"interface: e, addresses: [10.0.0.1/24], gateway: 10.0.1.1",
     "2:9: error: settings.uplink: gateway 10.0.1.1 is in none of the addresses' subnets"},
    {"interface: e, addresses: [10.0.0.1/24], mac: \"03:00:00:00:00:01\"",
     "2:55: error: settings.uplink.mac: \"03:00:00:00:00:01\" is no unicast MAC address | "
     "hint: "
     "write it in quotes: \"02:00:00:00:00:11\""},
    {"interface: e, addresses: [10.0.0.1/24], mac: \"2:0:0:0:0:1\"",
     "2:55: error: settings.uplink.mac: \"2:0:0:0:0:1\" is no unicast MAC address | hint: "
     "write "
     "it in quotes: \"02:00:00:00:00:11\""},
    {"interface: e, addresses: [10.0.0.1/24], neighbours: {10.0.0.2: \"ff:ff:ff:ff:ff:ff\"}",
     "2:73: error: settings.uplink.neighbours.10.0.0.2: \"ff:ff:ff:ff:ff:ff\" is no unicast "
     "MAC "
     "address | hint: write it in quotes: \"02:00:00:00:00:11\""},
    {"interface: e, addresses: [10.0.0.1/24], neighbours: {n2: \"02:00:00:00:00:01\"}",
     "2:63: error: settings.uplink.neighbours.n2: \"n2\" is no IP address"},
};
INSTANTIATE_TEST_SUITE_P(Settings, WrongUplink, testing::ValuesIn(kWrongUplinks));

TEST(Settings, SayAllThatIsMissing) {
  EXPECT_EQ(all_of(load_settings_text("{}\n", kTestFile)),
            "t.yaml:1:1: error: settings: node is missing\n"
            "  hint: node: the name of this node in your Calico resources\n"
            "t.yaml:1:1: error: settings: uplink is missing\n"
            "  hint: uplink: {interface: eth0, addresses: [192.168.1.2/24]}\n");
}

std::string sample() {
  std::ostringstream text;
  text << std::ifstream(SLUICE_SAMPLE).rdbuf();
  return text.str();
}

// As a user would: without the "#" of the lines that have no blank behind it.
std::string uncommented(const std::string& text) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    const bool is_default = line.size() > 1 && line[0] == '#' &&
                            (line[1] != ' ' || (line.size() > 2 && line[2] == ' '));
    out += (is_default ? line.substr(1) : line) + "\n";
  }
  return out;
}

TEST(Sample, LoadsAsItIs) {
  const Loaded loaded = load_settings_text(sample(), "sluice.yaml.sample");
  EXPECT_EQ(all_of(loaded), "");
  EXPECT_EQ(loaded.model.settings.node, "node111");
}

TEST(Sample, ShowsTheDefaults) {
  const Loaded commented = load_settings_text(sample(), "sluice.yaml.sample");
  const Loaded whole = load_settings_text(uncommented(sample()), "sluice.yaml.sample");
  EXPECT_EQ(all_of(whole), "");
  EXPECT_EQ(describe(whole.model.settings), describe(commented.model.settings));
}

TEST(Sample, NamesEveryKey) {
  const std::string text = sample();
  std::set<std::string> missing;
  for (const Key& key : kKeys) {
    std::string name = key.name;
    name = name.substr(name.find('.') + 1);  // npos + 1 is 0
    name = name.substr(0, name.find(' ')) + ":";
    if (text.find(name) == std::string::npos) {
      missing.insert(name);
    }
  }
  EXPECT_EQ(missing, std::set<std::string>());
}

}  // namespace
}  // namespace sluice::config
