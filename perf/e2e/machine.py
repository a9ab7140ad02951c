# SPDX-License-Identifier: Apache-2.0
"""The machine it runs on: packages, settings of the whole kernel (put back at the end), facts."""
import contextlib
import os
import pathlib
import platform

from scene import Failure, run
from subjects import CONNECTIONS

# What is not of a namespace.
SETTINGS = {
    "/proc/sys/net/netfilter/nf_conntrack_max": CONNECTIONS,
    "/sys/module/nf_conntrack/parameters/hashsize": 1 << 20,
}
COMMON = ("ethtool", "iperf3", "iproute2", "procps", "python3-matplotlib", "util-linux")


def install(packages):
    """Debian packages that are missing."""
    missing = [p for p in sorted(packages) if "install ok installed" not in run(
        "dpkg-query", "-W", "-f", "${Status}", p, check=False).stdout]
    if not missing:
        return
    print("installing:", *missing, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
    if run(*command, timeout=600, env=environment, check=False).returncode != 0:
        run("apt-get", "update", "-qq", timeout=300)
        run(*command, timeout=600, env=environment)


@contextlib.contextmanager
def settings():
    """Connection tracking with room for all flows, as long as this lasts."""
    before = {}
    try:
        for name, value in SETTINGS.items():
            path = pathlib.Path(name)
            if path.exists():
                was = int(path.read_text())
                if was < value:
                    path.write_text(str(value))
                    before[path] = was
        yield
    finally:
        for path, value in before.items():
            path.write_text(str(value))


def cores():
    """Two to use: of the generator, and of what is measured."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Failure("two cores are needed: one for the traffic, one for what is measured")
    return usable[0], usable[1]


def facts():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0]}
