// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/minimise.h"

#include <utility>

namespace sluice::differential {
namespace {

// Walks everything that can be left out, and leaves out the thing with number `at`.
class Remover {
 public:
  explicit Remover(size_t at) : left_(at) {}
  bool done() const { return done_; }

  void visit(Cluster& c) {
    list(c.policies, [&](Policy& p) { visit(p); });
    list(c.kube_policies, [&](KubePolicy& p) { visit(p); });
    list(c.cluster_policies, [&](ClusterPolicy& p) { visit(p); });
    list(c.slices, [&](Slice& s) {
      list(s.addresses);
      list(s.ports);
    });
    list(c.felixes, [&](Felix& f) {
      clear(f.to_host);
      clear(f.spoofing);
      clear(f.ipip);
      clear(f.vxlan);
      clear(f.prefixes);
    });
    list(c.sets, [&](Set& s) {
      list(s.nets);
      list(s.labels);
    });
    list(c.pods, [&](Pod& p) {
      list(p.labels);
      list(p.ports);
      list(p.profiles);
      list(p.sources);
      clear(p.account);
    });
    list(c.tiers, [&](Tier& t) { clear(t.order); });
    list(c.profiles, [&](Profile& p) {
      list(p.labels);
      rules(p.ingress);
      rules(p.egress);
    });
    list(c.accounts, [&](Account& a) { list(a.labels); });
    list(c.spaces, [&](Space& s) { list(s.labels); });
  }

 private:
  // Is it this thing's turn?
  bool mine() {
    if (done_ || left_-- != 0) {
      return false;
    }
    done_ = true;
    return true;
  }

  template <typename List, typename Inside>
  void list(List& items, Inside inside) {
    for (auto it = items.begin(); it != items.end() && !done_; ++it) {
      if (mine()) {
        items.erase(it);
        return;
      }
      inside(*it);
    }
  }
  template <typename List>
  void list(List& items) {
    list(items, [](const auto&) {});
  }
  // A text, a flag or an optional field that says something.
  template <typename T>
  void clear(T& field) {
    if (field != T{} && mine()) {
      field = T{};
    }
  }
  template <typename T>
  void clear(std::optional<T>& field) {
    if (field && mine()) {
      field.reset();
    }
  }
  void clear(std::optional<Selector>& field) {
    if (!field) {
      return;
    }
    if (mine()) {
      field.reset();
      return;
    }
    for (const Selector& part : field->parts) {
      if (mine()) {
        const Selector only = part;
        field = only;
        return;
      }
    }
  }

  void visit(Side& s) {
    list(s.nets);
    list(s.not_nets);
    clear(s.service);
    clear(s.selector);
    clear(s.not_selector);
    clear(s.namespace_selector);
    clear(s.account_selector);
    list(s.accounts);
    list(s.ports);
    list(s.not_ports);
  }
  void rules(std::vector<Rule>& items) {
    list(items, [&](Rule& r) {
      clear(r.version);
      clear(r.protocol);
      clear(r.not_protocol);
      clear(r.icmp);
      clear(r.not_icmp);
      visit(r.source);
      visit(r.destination);
    });
  }
  void visit(Policy& p) {
    clear(p.tier);
    clear(p.order);
    clear(p.selector);
    clear(p.namespace_selector);
    clear(p.account_selector);
    clear(p.types);
    rules(p.ingress);
    rules(p.egress);
  }
  void visit(KubeSelector& s) {
    list(s.labels);
    list(s.expressions);
  }
  void kube_rules(std::vector<KubeRule>& items) {
    list(items, [&](KubeRule& r) {
      list(r.peers, [&](KubePeer& p) {
        list(p.except);
        if (p.pods) {
          visit(*p.pods);
        }
        if (p.spaces) {
          visit(*p.spaces);
        }
      });
      list(r.ports);
    });
  }
  void visit(KubePolicy& p) {
    visit(p.pods);
    kube_rules(p.ingress);
    kube_rules(p.egress);
  }

  void visit(ClusterPeer& p) {
    if (p.spaces) {
      visit(*p.spaces);
    }
    if (p.pods) {
      visit(*p.pods);
    }
    list(p.nets);
  }
  void cluster_rules(std::vector<ClusterRule>& items) {
    list(items, [&](ClusterRule& r) {
      clear(r.name);
      list(r.peers, [&](ClusterPeer& p) { visit(p); });
      list(r.ports);
    });
  }
  void visit(ClusterPolicy& p) {
    visit(p.subject);
    cluster_rules(p.ingress);
    cluster_rules(p.egress);
  }

  size_t left_;
  bool done_ = false;
};

}  // namespace

Cluster minimise(Cluster cluster, const std::function<bool(const Cluster&)>& fails) {
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (size_t at = 0;;) {
      Cluster less = cluster;
      Remover remover(at);
      remover.visit(less);
      if (!remover.done()) {
        break;
      }
      if (fails(less)) {
        cluster = std::move(less);
        smaller = true;
      } else {
        ++at;
      }
    }
  }
  return cluster;
}

}  // namespace sluice::differential
