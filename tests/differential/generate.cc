// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/generate.h"

#include <algorithm>

#include "tests/differential/dice.h"
#include "tests/differential/packets.h"
#include "tests/differential/places.h"

namespace sluice::differential {
namespace {

class Maker {
 public:
  explicit Maker(uint64_t seed) : dice_(seed) {}

  Cluster cluster() {
    make_places();
    make_felixes();
    make_pods();
    make_nets();
    make_sets();
    make_slices();
    make_tiers();
    const unsigned policies = dice_.below(10);
    for (unsigned i = 0; i < policies; ++i) {
      make_policy(i);
    }
    const unsigned kube_policies = dice_.below(5);
    for (unsigned i = 0; i < kube_policies; ++i) {
      make_kube_policy(i);
    }
    const unsigned cluster_policies = dice_.one_in(2) ? dice_.below(5) : 0;
    for (unsigned i = 0; i < cluster_policies; ++i) {
      make_cluster_policy(i);
    }
    return std::move(c_);
  }
  const std::vector<Net>& nets() const { return nets_; }

 private:
  // ---- names and labels --------------------------------------------------------------------

  std::string key() {
    return dice_.of<std::string>({"app", "role", "example.com/zone", "env"});
  }
  std::string value() { return dice_.of<std::string>({"a", "b", "ab", "ba", "aba"}); }
  Labels labels() {
    Labels out;
    for (unsigned i = dice_.below(4); i > 0; --i) {
      out[key()] = value();
    }
    return out;
  }
  std::string space() { return dice_.pick(c_.spaces).name; }
  std::string account_of(const std::string&) {
    return dice_.of<std::string>({"", "robot", "clerk", "default"});
  }

  Selector selector(unsigned depth = 0) {
    using Kind = Selector::Kind;
    if (depth < 2 && dice_.one_in(3)) {
      Selector s{dice_.of<Kind>({Kind::both, Kind::either, Kind::no}), "", {}, {}};
      for (unsigned i = s.kind == Kind::no ? 1 : 2 + dice_.below(2); i > 0; --i) {
        s.parts.push_back(selector(depth + 1));
      }
      return s;
    }
    Selector s{
        dice_.of<Kind>({Kind::all, Kind::has, Kind::eq, Kind::eq, Kind::eq, Kind::ne, Kind::in,
                        Kind::not_in, Kind::contains, Kind::starts, Kind::ends}),
        key(),
        {},
        {}};
    const bool set = s.kind == Kind::in || s.kind == Kind::not_in;
    for (unsigned i = set ? dice_.below(4) : 1; i > 0; --i) {
      s.values.push_back(!set && dice_.one_in(12) ? "" : value());
    }
    return s;
  }
  Selector space_selector() {
    using Kind = Selector::Kind;
    if (dice_.one_in(5)) {
      return {Kind::eq,
              dice_.of<std::string>({"projectcalico.org/name", "kubernetes.io/metadata.name"}),
              {space()},
              {}};
    }
    return dice_.one_in(5) ? Selector{} : selector(1);
  }
  std::optional<Selector> maybe(unsigned odds, Selector s) {
    return dice_.one_in(odds) ? std::optional(std::move(s)) : std::nullopt;
  }

  // ---- places ------------------------------------------------------------------------------

  void make_places() {
    for (const char* name : {"ns1", "ns2", "ns3"}) {
      c_.spaces.push_back({name, labels(), dice_.one_in(12)});
      for (const char* account : {"robot", "clerk"}) {
        if (!dice_.one_in(4)) {
          c_.accounts.push_back({name, account, labels()});
        }
      }
    }
    for (const char* name : {"open", "mixed"}) {
      if (dice_.one_in(2)) {
        c_.profiles.push_back({name, labels(), {}, {}});
      }
    }
  }

  // Of our node, another's, and one whose name says nothing.
  void make_felixes() {
    for (const char* name : {"default", "node.n1", "node.n2", "n1"}) {
      if (dice_.one_in(3)) {
        Felix f;
        f.name = name;
        f.to_host = dice_.of<std::string>({"", "Drop", "DROP", "Accept", "ACCEPT", "Return"});
        f.spoofing = dice_.of<std::string>({"", "Disabled", "Any"});
        f.ipip = dice_.of<std::optional<bool>>({std::nullopt, true, false});
        f.vxlan = dice_.of<std::optional<bool>>({std::nullopt, true, false});
        f.prefixes = dice_.of<std::string>({"", "cali", "eni,cali"});
        const bool ours = f.name == "default" || f.name == "node.n1";
        spoofing_ = ours && !f.spoofing.empty() ? f.spoofing : spoofing_;
        c_.felixes.push_back(f);
      }
    }
  }

  void make_ports(Pod& p) {
    for (unsigned n = dice_.below(4); n > 0; --n) {
      p.ports.push_back({port_name(), dice_.of<std::string>({"TCP", "UDP", "SCTP"}), port()});
      if (dice_.one_in(3)) {  // one name twice: another number, another protocol, or the same
        NamedPort again = p.ports.back();
        again.port = dice_.one_in(3) ? again.port : port();
        again.protocol = dice_.one_in(2) ? again.protocol : "TCP";
        p.ports.push_back(again);
      }
    }
    if (dice_.one_in(6)) {
      p.ports.push_back({"", "TCP", port()});
    }
  }

  void make_pods() {
    const unsigned local = 2 + dice_.below(5);
    const unsigned remote = 1 + dice_.below(3);
    for (unsigned i = 0; i < local + remote; ++i) {
      Pod p;
      p.local = i < local;
      p.endpoint = dice_.one_in(2);
      p.space = space();
      p.name = "p" + std::to_string(i);
      p.account = account_of(p.space);
      p.labels = labels();
      if (!p.endpoint && dice_.one_in(4)) {
        p.labels["pcns." + key()] = value();  // which no pod may claim
      }
      p.ip = ip4((p.local ? kLocalPods : kRemotePods) + 1 + i);
      p.ip6 = pod_ip6(1 + i);
      p.interface = "cali" + std::to_string(i);
      p.profiles = {"kns." + p.space};
      if (dice_.one_in(2)) {
        p.profiles.push_back("ksa." + p.space + "." + (p.account.empty() ? "x" : p.account));
      }
      if (dice_.one_in(3)) {
        const auto at = p.profiles.begin() + dice_.below(2);
        p.profiles.insert(at, dice_.of<std::string>(
                                  {"open", "mixed", "lost", "projectcalico-default-allow"}));
      }
      make_ports(p);
      if ((!p.local || spoofing_ == "Any") && dice_.one_in(3)) {
        p.sources.push_back({ip4(kWorld + dice_.below(0x10000)), 24 + dice_.below(9)});
      }
      c_.pods.push_back(std::move(p));
    }
  }

  // The CIDRs of this cluster, in which all rules and sets pick, so that they meet.
  void make_nets() {
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned length = 16 + dice_.below(17);
      nets_.push_back({ip4(kWorld + dice_.below(0x10000)), length});
    }
    nets_.push_back({ip4(kLocalPods), 24 + dice_.below(9)});
    nets_.push_back({ip4(kLocalPods + dice_.below(8)), 29 + dice_.below(4)});
    nets_.push_back({ip4(kRemotePods + dice_.below(8)), 26 + dice_.below(7)});
    nets_.push_back({ip4(kUplink), 24});
    nets_.push_back({ip4(0), dice_.below(3)});
    nets_.push_back({ip4(0x80000000), 1 + dice_.below(2)});
    nets_.push_back({dice_.pick(c_.pods).ip, 32});
    nets6_ = {{pod_ip6(0), 8},
              {pod_ip6(0), 0},
              {pod_ip6(dice_.below(8)), 124 + dice_.below(5)},
              {pod_ip6(dice_.below(8)), 126},
              {pod_ip6(kNobodys + dice_.below(8)), 124 + dice_.below(5)},
              {{true, Bits{0x20010db8} << 96}, 16 + dice_.below(32)}};
  }

  void make_sets() {
    for (unsigned i = dice_.below(5); i > 0; --i) {
      Set s{dice_.one_in(2) ? space() : "", "s" + std::to_string(i), labels(), {}};
      for (unsigned n = dice_.below(5); n > 0; --n) {
        s.nets.push_back(dice_.pick(dice_.one_in(8) ? nets6_ : nets_));
      }
      c_.sets.push_back(std::move(s));
    }
  }

  void make_slices() {
    for (unsigned i = dice_.below(6); i > 0; --i) {
      Slice s{space(),
              "e" + std::to_string(i),
              service_name(),
              dice_.one_in(5),
              dice_.one_in(2),
              {},
              {}};
      for (unsigned n = dice_.below(4); n > 0; --n) {
        const Pod& pod = dice_.pick(c_.pods);
        const Ip pods = s.v6 ? pod.ip6 : pod.ip;
        s.addresses.push_back(!s.v6 && dice_.one_in(4) ? ip4(kWorld + dice_.below(0x10000))
                                                       : pods);
      }
      for (unsigned n = dice_.below(3); n > 0; --n) {
        s.ports.push_back({dice_.of<std::string>({"", "TCP", "UDP", "SCTP"}),
                           dice_.one_in(6) ? uint16_t{0} : port()});
      }
      c_.slices.push_back(std::move(s));
    }
  }

  void make_tiers() {
    for (const char* name : {"early", "late", "equal"}) {
      if (dice_.one_in(2)) {
        Tier t{name, std::nullopt, dice_.of<std::string>({"", "Deny", "Pass", "Pass"})};
        if (!dice_.one_in(4)) {
          t.order = dice_.of<double>({1, 1000, 1000000, 2000000, 20000000});
        }
        c_.tiers.push_back(t);
      }
    }
    for (Profile& p : c_.profiles) {
      p.ingress = rules(true, true, 3);
      p.egress = rules(true, false, 3);
    }
  }

  // ---- rules -------------------------------------------------------------------------------

  std::string port_name() { return dice_.of<std::string>({"web", "dns", "db"}); }
  uint16_t port() {
    return dice_.of<uint16_t>({1, 22, 53, 80, 443, 8080, 9000, 40000, 65534, 65535});
  }
  Ports ports(bool names_only) {
    if (names_only || dice_.one_in(3)) {
      return {0, 0, port_name()};
    }
    uint16_t low = port();
    uint16_t high = dice_.one_in(2) ? low : port();
    return {std::min(low, high), std::max(low, high), ""};
  }

  Protocol protocol() {
    Protocol p = dice_.of<Protocol>({{6, "TCP"},
                                     {6, "TCP"},
                                     {17, "UDP"},
                                     {1, "ICMP"},
                                     {132, "SCTP"},
                                     {58, "ICMPv6"},
                                     {136, "UDPLite"},
                                     {50, ""},
                                     {89, ""}});
    if (dice_.one_in(4)) {
      p.name.clear();
    }
    return p;
  }
  Icmp icmp() {
    Icmp i{dice_.of<uint8_t>({8, 13, 0, 3, 128}), std::nullopt};
    if (dice_.one_in(2)) {
      i.code = dice_.of<uint8_t>({0, 1, 2});
    }
    return i;
  }

  std::string service_name() { return dice_.of<std::string>({"api", "web"}); }

  // A service, which nothing but a source's ports may stand beside.
  Side service_side(const Rule& r, bool global, bool source) {
    Side s;
    s.service = Service{global || dice_.one_in(2) ? space() : "",
                        dice_.one_in(8) ? "gone" : service_name()};
    if (source && r.protocol && ported(r.protocol->number) && dice_.one_in(3)) {
      s.ports.push_back(ports(false));
    }
    return s;
  }

  Side side(const Rule& r, bool v6) {
    Side s;
    const std::vector<Net>& nets = v6 ? nets6_ : nets_;
    for (unsigned i = dice_.one_in(4) ? 1 + dice_.below(3) : 0; i > 0; --i) {
      s.nets.push_back(dice_.pick(nets));
    }
    for (unsigned i = dice_.one_in(7) ? 1 + dice_.below(2) : 0; i > 0; --i) {
      s.not_nets.push_back(dice_.pick(nets));
    }
    s.selector = maybe(4, selector());
    s.not_selector = maybe(8, selector());
    s.namespace_selector = maybe(6, space_selector());
    if (dice_.one_in(20)) {
      s.namespace_selector = Selector{Selector::Kind::global, "", {}, {}};
    }
    s.account_selector = maybe(12, selector(1));
    if (dice_.one_in(12)) {
      s.accounts = {dice_.of<std::string>({"robot", "clerk", "default"})};
    }
    const bool has_ports = r.protocol && ported(r.protocol->number);
    if (!r.protocol || has_ports) {
      for (unsigned i = dice_.one_in(has_ports ? 3 : 12) ? 1 + dice_.below(3) : 0; i > 0; --i) {
        s.ports.push_back(ports(!has_ports));
      }
      for (unsigned i = dice_.one_in(has_ports ? 6 : 15) ? 1 + dice_.below(2) : 0; i > 0; --i) {
        s.not_ports.push_back(ports(!has_ports));
      }
    }
    return s;
  }

  Rule rule(bool global, bool ingress) {
    Rule r;
    r.act = dice_.of<Act>(
        {Act::allow, Act::allow, Act::allow, Act::deny, Act::deny, Act::pass, Act::log});
    if (!dice_.one_in(3)) {
      r.protocol = protocol();
    }
    if (dice_.one_in(10)) {
      r.not_protocol = protocol();
    }
    if (r.protocol && (r.protocol->number == 1 || r.protocol->number == 58) &&
        dice_.one_in(2)) {
      r.icmp = icmp();
    }
    if (dice_.one_in(10)) {
      r.not_icmp = icmp();
    }
    const bool v6 = dice_.one_in(12);
    if (dice_.one_in(10)) {
      r.version = v6 ? 6 : 4;
    }
    if (!dice_.one_in(3)) {
      r.source = side(r, v6);
    }
    if (!dice_.one_in(3)) {
      r.destination = side(r, v6);
    }
    if (dice_.one_in(6)) {
      (ingress ? r.source : r.destination) = service_side(r, global, ingress);
    }
    return r;
  }
  std::vector<Rule> rules(bool global, bool ingress, unsigned most) {
    std::vector<Rule> out;
    for (unsigned i = dice_.below(most + 1); i > 0; --i) {
      out.push_back(rule(global, ingress));
    }
    return out;
  }

  Stage stage() {
    return dice_.one_in(6) ? (dice_.one_in(4) ? Stage::removed : Stage::staged)
                           : Stage::enforced;
  }

  void make_policy(unsigned number) {
    Policy p;
    p.global = dice_.one_in(2);
    p.stage = stage();
    p.space = p.global ? "" : space();
    // "a-b" sorts before "a", and the number keeps names apart.
    p.name = dice_.of<std::string>({"a", "a-b", "b"}) + std::to_string(number % 3) +
             (number < 3 ? "" : dice_.of<std::string>({"-", "."}) + std::to_string(number));
    p.name += number < 3 ? "" : "x";
    p.tier = dice_.of<std::string>({"", "", "default", "early", "late", "equal", "unknown",
                                    "other-unknown", "kube-admin", "kube-baseline"});
    if (!dice_.one_in(3)) {
      p.order = dice_.of<double>({1, 10, 10, 1000, 1000, -5, 0.5});
    }
    p.selector = maybe(2, selector());
    if (p.global) {
      p.namespace_selector = maybe(4, space_selector());
    }
    p.account_selector = maybe(6, selector(1));
    p.ingress = rules(p.global, true, 4);
    p.egress = rules(p.global, false, 4);
    if (dice_.one_in(2)) {
      p.types = true;
      p.to_ingress = dice_.one_in(2);
      p.to_egress = !p.to_ingress || dice_.one_in(2);
    }
    if (p.global && dice_.one_in(12)) {
      p.forward = true;
      p.untracked = dice_.one_in(2);
    }
    c_.policies.push_back(std::move(p));
  }

  // ---- Kubernetes --------------------------------------------------------------------------

  KubeSelector kube_selector() {
    KubeSelector s;
    if (dice_.one_in(2)) {
      s.labels[key()] = value();
    }
    if (dice_.one_in(3)) {
      using Op = Requirement::Op;
      Requirement r{key(), dice_.of<Op>({Op::in, Op::not_in, Op::exists, Op::absent}), {}};
      if (r.op == Op::in || r.op == Op::not_in) {
        r.values = {value(), value()};
      }
      s.expressions.push_back(r);
    }
    return s;
  }

  KubePeer kube_peer() {
    KubePeer p;
    if (dice_.one_in(3)) {
      p.net = dice_.pick(nets_);
      for (const Net& n : nets_) {
        if (n.length > p.net->length && p.net->contains(n.base) && dice_.one_in(2)) {
          p.except.push_back(n);
        }
      }
      return p;
    }
    const unsigned form = dice_.below(3);
    if (form != 0) {
      p.pods = kube_selector();
    }
    if (form != 1) {
      p.spaces = kube_selector();
    }
    return p;
  }

  std::vector<KubeRule> kube_rules() {
    std::vector<KubeRule> out;
    for (unsigned i = dice_.below(3); i > 0; --i) {
      KubeRule r;
      for (unsigned n = dice_.below(3); n > 0; --n) {
        r.peers.push_back(kube_peer());
      }
      for (unsigned n = dice_.below(4); n > 0; --n) {
        KubePort p{dice_.of<std::string>({"", "TCP", "UDP", "SCTP"}), ports(false)};
        if (dice_.one_in(8)) {
          p.port = {};
        }
        r.ports.push_back(p);
      }
      out.push_back(r);
    }
    return out;
  }

  void make_kube_policy(unsigned number) {
    KubePolicy p;
    p.stage = stage();
    p.space = space();
    p.name = dice_.of<std::string>({"a", "k"}) + std::to_string(number);
    p.pods = kube_selector();
    p.ingress = kube_rules();
    p.egress = kube_rules();
    if (p.stage != Stage::enforced || dice_.one_in(2)) {
      p.types = true;
      p.to_ingress = dice_.one_in(2);
      p.to_egress = !p.to_ingress || dice_.one_in(2);
    }
    c_.kube_policies.push_back(std::move(p));
  }

  // ---- cluster policies --------------------------------------------------------------------

  KubeSelector space_labels() {
    KubeSelector s = kube_selector();
    if (dice_.one_in(4)) {
      s.labels["kubernetes.io/metadata.name"] = space();
    }
    return s;
  }

  ClusterPeer cluster_peer(bool networks) {
    ClusterPeer p;
    if (networks && dice_.one_in(3)) {
      for (unsigned n = 1 + dice_.below(3); n > 0; --n) {
        p.nets.push_back(dice_.pick(dice_.one_in(5) ? nets6_ : nets_));
      }
      return p;
    }
    p.nodes = networks && dice_.one_in(12);
    if (!p.nodes) {
      p.spaces = space_labels();
      p.pods = dice_.one_in(2) ? std::optional(kube_selector()) : std::nullopt;
    }
    return p;
  }

  std::vector<ClusterRule> cluster_rules(bool ingress, ClusterPolicy::Form form) {
    using Form = ClusterPolicy::Form;
    std::vector<ClusterRule> out;
    for (unsigned i = dice_.below(4); i > 0; --i) {
      ClusterRule r;
      r.name = dice_.of<std::string>({"", "why"});
      r.act = dice_.of<Act>({Act::allow, Act::deny, Act::pass});
      r.act = form == Form::baseline && r.act == Act::pass ? Act::deny : r.act;
      for (unsigned n = 1 + dice_.below(2); n > 0; --n) {
        r.peers.push_back(cluster_peer(!ingress));
      }
      for (unsigned n = dice_.one_in(2) ? dice_.below(4) : 0; n > 0; --n) {
        ClusterPort p{dice_.of<std::string>({"TCP", "UDP", "SCTP"}), ports(false)};
        if (form == Form::cluster && dice_.one_in(5)) {
          p.port = {};
        } else if (!p.port.name.empty()) {
          p.protocol.clear();
        }
        r.ports.push_back(p);
      }
      out.push_back(std::move(r));
    }
    return out;
  }

  void make_cluster_policy(unsigned number) {
    using Form = ClusterPolicy::Form;
    ClusterPolicy p;
    p.form = dice_.of<Form>({Form::cluster, Form::cluster, Form::admin});
    if (number == 0 && dice_.one_in(4)) {
      p.form = Form::baseline;
    }
    const bool only = p.form == Form::baseline;  // there is one of it, and it has one name
    p.name = only ? "default" : dice_.of<std::string>({"a", "b"}) + std::to_string(number);
    p.baseline = only || (p.form == Form::cluster && dice_.one_in(2));
    p.priority = only ? 1000 : dice_.of<unsigned>({0, 10, 10, 1000});
    p.subject.spaces = space_labels();
    p.subject.pods = dice_.one_in(2) ? std::optional(kube_selector()) : std::nullopt;
    p.ingress = cluster_rules(true, p.form);
    p.egress = cluster_rules(false, p.form);
    c_.cluster_policies.push_back(std::move(p));
  }

  Dice dice_;
  Cluster c_;
  std::string spoofing_;
  std::vector<Net> nets_, nets6_;
};

}  // namespace

Case generate(uint64_t seed, size_t packets) {
  Case out;
  Maker maker(seed);
  out.cluster = maker.cluster();
  out.packets = packets_for(seed ^ 0x9e3779b97f4a7c15, out.cluster, maker.nets(), packets);
  return out;
}

}  // namespace sluice::differential
