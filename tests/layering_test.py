#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on an include that goes against the direction of the folders."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A folder may include headers of these folders.
ALLOWED = {
    "classifier": {"classifier"},
    "config": {"config", "classifier"},
    "fastpath": {"fastpath", "classifier"},
    "control": {"control", "config", "classifier", "fastpath"},
}
# Third-party headers that belong to one folder.
OWNED = {r"yaml-cpp/": {"config"}, r"rte_": {"fastpath"}, r"xdp/": {"fastpath"}}
# The status view asks the pool how many buffers are free.
EXCEPTIONS = {("control/daemon_views.cc", "rte_mempool.h")}
# What builds without DPDK sees these of fastpath, and no more.
PURE_FASTPATH = {"fastpath/tables.h", "fastpath/decide.h"}
PURE_CONTROL = {
    "build", "chains", "cli_offline", "cli_policies", "cluster", "compile", "endpoint_slots", "endpoints",
    "explain", "flow_space", "hash", "kubernetes", "labels", "lint", "policy_diff",
    "policy_test", "policy_trail", "resolve",
    "routes", "rule_cover", "rule_names", "selector", "sets",
}


def problems():
    for folder, allowed in ALLOWED.items():
        for path in sorted((ROOT / folder).glob("*.[hc]*")):
            name = str(path.relative_to(ROOT))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r'#include ["<]([^">]+)[">]', line)
                if not match:
                    continue
                header = match[1]
                top = header.split("/")[0]
                if line.startswith('#include "') and top in ALLOWED and top not in allowed:
                    yield f"{name}:{number}: {folder} must not include {header}"
                if (folder == "control" and path.stem in PURE_CONTROL and top == "fastpath"
                        and header not in PURE_FASTPATH):
                    yield f"{name}:{number}: builds without DPDK, must not include {header}"
                for pattern, owners in OWNED.items():
                    if (re.match(pattern, header) and folder not in owners
                            and (name, header) not in EXCEPTIONS):
                        yield f"{name}:{number}: only {', '.join(owners)} includes {header}"


def main():
    found = list(problems())
    print("\n".join(found) if found else "layering: fine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
