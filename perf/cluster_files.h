// SPDX-License-Identifier: Apache-2.0
// A large cluster as resource files: pods, policies, network sets; one file for each namespace.
//
// Namespaces of fifty pods, applications of ten; pod p<i> is of application a<i/10>, has
// the address 10.0.0.1 + i and runs on this node if it is among the first `local`.  Policy
// np<i> lets TCP 80 from the next application reach one application.
#ifndef SLUICE_PERF_CLUSTER_FILES_H_
#define SLUICE_PERF_CLUSTER_FILES_H_

#include <filesystem>
#include <map>
#include <string>

namespace sluice::perf {

struct ClusterSize {
  unsigned endpoints = 0;
  unsigned policies = 0;  // half as many
  unsigned members = 0;   // of network sets: ten times as many
  unsigned local = 0;     // of the endpoints, on this node
};

using Files = std::map<std::string, std::string>;  // text by name
Files cluster_files(const ClusterSize& size);

// The files, and a sluice.yaml that names them, in a directory of /tmp; gone with the object.
class ClusterDirectory {
 public:
  explicit ClusterDirectory(const Files& files);
  ~ClusterDirectory();
  ClusterDirectory(const ClusterDirectory&) = delete;
  ClusterDirectory& operator=(const ClusterDirectory&) = delete;

  std::string settings() const { return root_ / "sluice.yaml"; }
  void write(const std::string& file, const std::string& text) const;

 private:
  std::filesystem::path root_;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_CLUSTER_FILES_H_
