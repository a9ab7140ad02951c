// SPDX-License-Identifier: Apache-2.0
#include "config/policy_cases.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "config/documents.h"
#include "config/files.h"
#include "config/kinds.h"
#include "config/rules.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNode = "fixtures";
constexpr uint32_t kFirstAddress = 0xc6120001;  // 198.18.0.1
constexpr uint32_t kLastAddress = 0xc613fffe;   // 198.19.255.254

// "NAMESPACE/NAME" into the metadata of an object.
bool split_name(const Value& v, Meta& meta) {
  const std::string text = v.text();
  const size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
    v.error("\"" + text + "\" is not NAMESPACE/NAME");
    return false;
  }
  meta.namespace_name = text.substr(0, slash);
  meta.name = text.substr(slash + 1);
  return true;
}

class Reader {
 public:
  Reader(Loaded& loaded, std::vector<PolicyCase>& cases) : model_(loaded.model), cases_(cases) {
    for (const Pod& pod : model_.pods) {
      for (const Address& address : pod.pod_ips) {
        owners_.emplace(address, full_name(pod.meta));
      }
    }
    for (const WorkloadEndpoint& w : model_.workload_endpoints) {
      for (const Prefix& net : w.ip_networks) {
        owners_.emplace(net.base, full_name(w.meta));
      }
    }
  }

  void read(const Value& document) {
    bool any = false;
    document.fields({
        {"resources", [](const Value&) {}},  // read already
        {"fixtures", [&](const Value& x) { read_fixtures(x); }},
        {"cases",
         [&](const Value& x) {
           any = true;
           for (const Value& item : x.list()) {
             read_case(item);
           }
         }},
    });
    if (!any) {
      document.error("cases are missing",
                     "cases: [{from: a/b, to: a/c, proto: tcp, port: 80, expect: allow}]");
    }
  }

 private:
  void read_fixtures(const Value& v) {
    v.fields({
        {"namespaces",
         [&](const Value& x) {
           for (const auto& [key, value] : x.entries()) {
             const Labels labels = value.labels();
             if (!add_namespace(key.text(), labels, key.where()) && !labels.empty()) {
               key.error("\"" + key.written() + "\" is there already");
             }
           }
         }},
        {"endpoints",
         [&](const Value& x) {
           for (const Value& item : x.list()) {
             read_endpoint(item);
           }
         }},
    });
    // Endpoints may come before the namespaces, and before those that choose their address.
    for (Pod& pod : fixtures_) {
      add_namespace(pod.meta.namespace_name, {}, pod.meta.where);
      while (pod.pod_ips.empty() && next_ <= kLastAddress) {
        const Address address = Address::of(Ip4{next_++});
        if (!owners_.contains(address)) {
          pod.pod_ips = {address};
        }
      }
      if (pod.pod_ips.empty()) {
        v.error("too many endpoints without address");
        return;
      }
      model_.pods.push_back(pod);
    }
  }

  static std::string full_name(const Meta& meta) {
    return meta.namespace_name + "/" + meta.name;
  }

  // False if it is there already.
  bool add_namespace(const std::string& name, const Labels& labels, const Where& where) {
    const bool known =
        std::any_of(model_.namespaces.begin(), model_.namespaces.end(),
                    [&](const Namespace& n) { return n.meta.name == name; }) ||
        std::any_of(model_.profiles.begin(), model_.profiles.end(),
                    [&](const Profile& p) { return p.meta.name == "kns." + name; });
    if (!known) {
      Namespace made;
      made.meta.kind = "Namespace";
      made.meta.name = name;
      made.meta.labels = labels;
      made.meta.where = where;
      model_.namespaces.push_back(std::move(made));
    }
    return !known;
  }

  void read_endpoint(const Value& v) {
    Pod p;
    p.meta.kind = "Pod";
    p.meta.where = v.where();
    p.node = kNode;
    bool named = false;
    v.fields({
        {"name", [&](const Value& x) { named = split_name(x, p.meta); }},
        {"labels", [&](const Value& x) { p.meta.labels = x.labels(); }},
        {"address",
         [&](const Value& x) {
           if (const auto address = read_address(x)) {
             p.pod_ips = {*address};
           }
         }},
        {"serviceAccount", [&](const Value& x) { p.service_account = x.text(); }},
        {"ports",
         [&](const Value& x) {
           for (const Value& item : x.list()) {
             p.ports.push_back(read_named_port(item, "port"));
             if (p.ports.back().name.empty()) {
               item.error("name is missing");
             }
           }
         }},
    });
    if (!named && !v.get("name")) {
      v.error("name is missing", "name: NAMESPACE/NAME");
    }
    refuse_known(v, p.meta);
    for (const Address& address : p.pod_ips) {
      const auto [owner, fresh] = owners_.emplace(address, full_name(p.meta));
      if (!fresh) {
        v.get("address")->error(to_string(address) + " is the address of " + owner->second);
      }
    }
    fixtures_.push_back(std::move(p));
  }

  void refuse_known(const Value& v, const Meta& meta) const {
    const auto same = [&](const Meta& other) {
      return other.namespace_name == meta.namespace_name && other.name == meta.name;
    };
    const bool pod = std::any_of(model_.pods.begin(), model_.pods.end(),
                                 [&](const Pod& p) { return same(p.meta); }) ||
                     std::any_of(fixtures_.begin(), fixtures_.end(),
                                 [&](const Pod& p) { return same(p.meta); });
    if (pod) {
      v.error("\"" + full_name(meta) + "\" is there already");
    }
    for (const WorkloadEndpoint& w : model_.workload_endpoints) {
      if (w.meta.namespace_name == meta.namespace_name && w.pod == meta.name) {
        v.error("\"" + full_name(meta) + "\" is there already");
      }
    }
  }

  void read_case(const Value& v) {
    PolicyCase c;
    c.where = v.where();
    std::vector<uint16_t> ports;
    std::optional<uint64_t> type;
    uint64_t code = 0;
    v.fields({
        {"name", [&](const Value& x) { c.name = x.text(); }},
        {"from", [&](const Value& x) { c.from = read_text(x); }},
        {"to", [&](const Value& x) { c.to = read_text(x); }},
        {"proto",
         [&](const Value& x) {
           c.protocol = proto::number(x.written()).value_or(0);
           if (c.protocol == 0) {
             read_protocol(x);  // says what is wrong
           }
         }},
        {"port",
         [&](const Value& x) {
           for (const Value& item : x.is_list() ? x.list() : std::vector<Value>{x}) {
             if (const auto n = item.integer(1, 65535)) {
               ports.push_back(static_cast<uint16_t>(*n));
             }
           }
           if (x.is_list() && x.list().empty()) {
             x.error("no port is given");
           }
         }},
        {"type", [&](const Value& x) { type = x.integer(0, 255); }},
        {"code", [&](const Value& x) { code = x.integer(0, 255).value_or(0); }},
        {"expect",
         [&](const Value& x) {
           c.allow = x.one_of({"allow", "deny"}).value_or(1) == 0;
         }},
        {"by", [&](const Value& x) { c.by = read_text(x); }},
    });
    for (const char* key : {"from", "to", "proto", "expect"}) {
      if (v.is_map() && !v.get(key)) {
        v.error(std::string(key) + " is missing");
      }
    }
    const bool ported = proto::has_ports(c.protocol);
    const bool icmp = proto::is_icmp(c.protocol);
    if (v.get("proto") && ported != v.get("port").has_value()) {
      v.error(ported ? "port is missing" : "port is for tcp, udp and sctp only");
    }
    if (!icmp && (v.get("type") || v.get("code"))) {
      v.error("type and code are for icmp and icmpv6 only");
    }
    if (icmp) {  // an echo request, if nothing is said
      const uint64_t t = type.value_or(c.protocol == proto::kIcmp ? 8 : 128);
      ports = {static_cast<uint16_t>(t << 8 | code)};
    } else if (!ported) {
      ports = {0};
    }
    for (const uint16_t port : ports) {
      c.port = port;
      cases_.push_back(c);
    }
  }

  Model& model_;
  std::vector<PolicyCase>& cases_;
  std::vector<Pod> fixtures_;
  std::map<Address, std::string> owners_;
  uint32_t next_ = kFirstAddress;
};

// The resources that the test file names, relative to it.
std::optional<std::vector<std::string>> named_resources(const Value& document,
                                                        const std::string& file) {
  const auto named = document.get("resources");
  if (!named) {
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (const std::string& path : named->texts()) {
    out.push_back((fs::path(file).parent_path() / path).lexically_normal().string());
  }
  return out;
}

std::string directory_of(const std::string& file) {
  const std::string out = fs::path(file).parent_path().string();
  return out.empty() ? "." : out;
}

}  // namespace

std::vector<std::string> test_files(const std::vector<std::string>& paths, Loaded& loaded) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (is_test_file(path)) {
      out.push_back(path);
    } else if (fs::is_directory(path, error)) {
      std::vector<Complaint> complaints;
      const auto files = list_files(path, complaints, Wanted::tests);
      out.insert(out.end(), files.begin(), files.end());
      for (const Complaint& c : complaints) {
        loaded.findings.error({loaded.model.add_file(c.file), 0, 0}, c.message);
      }
    }
  }
  return out;
}

Loaded load_policy_test(const std::string& file, const std::vector<std::string>& paths,
                        std::vector<PolicyCase>& cases) {
  std::vector<std::string> resources;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(resources),
               [](const std::string& path) { return !is_test_file(path); });
  if (resources.empty()) {
    resources = {directory_of(file)};
  }
  Complaint complaint;
  const auto text = read_whole(file, complaint);
  // Twice: which resources there are is told by the document, whose places need their model.
  Loaded scratch;
  if (text) {
    const Source source{0, without_mark(*text), &scratch.findings, true};
    const std::vector<Value> documents = parse_documents(source);
    if (documents.size() == 1) {
      resources = named_resources(documents[0], file).value_or(resources);
    }
  }
  Loaded out = resources.empty() ? Loaded{} : load_resources(resources);
  const Source source{out.model.add_file(file), text ? without_mark(*text) : std::string_view(),
                      &out.findings, true};
  if (!text) {
    out.findings.error({source.file, 0, 0}, complaint.message);
    return out;
  }
  const std::vector<Value> documents = parse_documents(source);
  if (documents.size() == 1) {
    Reader(out, cases).read(documents[0].with_path("test"));
  } else if (out.ok()) {
    out.findings.error({source.file, 1, 1}, "one YAML document is expected");
  }
  return out;
}

}  // namespace sluice::config
