# SPDX-License-Identifier: Apache-2.0
"""The machine it runs on: settings of the whole kernel (put back at the end), cores, facts."""
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
CPUS = pathlib.Path("/sys/devices/system/cpu")
BUSY = 0.5  # load from which on the figures are doubted


@contextlib.contextmanager
def settings():
    """The kernel's connection tracking with room for all flows, as long as this lasts."""
    paths = {pathlib.Path(name): value for name, value in SETTINGS.items()}
    if not all(path.exists() for path in paths):
        run("modprobe", "nf_conntrack")
    before = {}
    try:
        for path, value in paths.items():
            was = int(path.read_text())
            if was < value:
                before[path] = was
                path.write_text(str(value))
            if int(path.read_text()) < value:
                raise Failure(f"{path} stays at {path.read_text().strip()}; {value} is needed")
        yield
    finally:
        for path, value in before.items():
            with contextlib.suppress(OSError):
                path.write_text(str(value))


def siblings(core):
    """The hardware threads of the same core, itself included."""
    path = CPUS / f"cpu{core}/topology/thread_siblings_list"
    if not path.exists():
        return {core}
    found = set()
    for part in path.read_text().strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def cores(chosen=None):
    """Two to use: of the generator, and of what is measured; `chosen`, or the first two that are
    not threads of one core, if there are such."""
    usable = sorted(os.sched_getaffinity(0))
    if chosen:
        if len(set(chosen)) != 2 or not set(chosen) <= set(usable):
            raise Failure(f"--cores wants two different ones of {usable}")
        return tuple(chosen)
    if len(usable) < 2:
        raise Failure("two cores are needed: one for the traffic, one for what is measured")
    first = usable[0]
    return first, next((core for core in usable[1:] if core not in siblings(first)), usable[1])


def doubts(used):
    """What about the machine makes figures doubtful: to be asked before anything is measured."""
    found = []
    load = os.getloadavg()[0]
    if load > BUSY:
        found.append(f"the machine was busy (load {load:.1f}): processor time of others counts as "
                     "the subject's")
    if used[1] in siblings(used[0]):
        found.append(f"cores {used[0]} and {used[1]} are threads of one core: each slows the other")
    return found


def facts():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0]}
