// SPDX-License-Identifier: Apache-2.0
// Starts DPDK's environment (EAL) once per process, small and quiet.
//
// Called by control's main thread, which becomes EAL's only lcore; workers are plain threads
// that register themselves.  Nothing is shared between processes (no files, no huge pages, no
// telemetry socket), so it runs without root and several times side by side.  Packet memory is
// not EAL's: see buffers.h.  Source: DPDK 22.11 "EAL parameters".
#ifndef SLUICE_FASTPATH_EAL_H_
#define SLUICE_FASTPATH_EAL_H_

#include <string>

#include "classifier/result.h"

namespace sluice {

struct EalOptions {
  std::string pci_device;    // the one PCI device EAL may touch; empty: it never looks at PCI
  unsigned memory_mb = 128;  // address space for rings and drivers; touched only as used
};

// What `device` needs: a PCI address ("0000:3b:00.0", "3b:00.0") or any vdev's devargs.
EalOptions eal_options(const std::string& device);

// Starts EAL; the caller's CPU affinity is the same afterwards.  A second call does nothing.
Status start_eal(const EalOptions& options);

}  // namespace sluice

#endif  // SLUICE_FASTPATH_EAL_H_
