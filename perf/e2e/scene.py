# SPDX-License-Identifier: Apache-2.0
"""Two pods behind a node, each in a network namespace: where every subject is measured.

Pods are wired as Calico's CNI plugin does it. Neighbours are fixed, so that no answer is waited
for. close() ends what runs here, by process id, and removes the namespaces.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

PREFIX = "sluice-e2e-"
OURS = f"{PREFIX}{os.getpid()}-"
NODE_MAC = "ee:ee:ee:ee:ee:ee"
FIRST = ("nice", "-n", "-20")  # before whatever else runs on the machine
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something could not be set up or measured; the text is for the user."""


def run(*command, timeout=60, check=True, **options):
    """Runs a command to its end and returns it; with `check`, a failure is raised."""
    try:
        done = subprocess.run(command, timeout=timeout, capture_output=True, text=True, **options)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{' '.join(command)[:200]}: not done in {timeout} s") from late
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(command)[:200]}: exit {done.returncode}: "
                      f"{(done.stderr or done.stdout)[-800:].strip()}")
    return done


def wait_until(condition, what, seconds=15.0):
    """Polls until `condition()` is true; raises Failure with `what` (or what it returns)."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def _end_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Pod:
    def __init__(self, name, address, labels):
        self.name = name
        self.address = address
        self.labels = labels
        self.interface = "cali" + name
        self.space = None
        self.mac = None

    @property
    def place(self):
        """As `traffic` wants it."""
        return f"{self.space}:eth0:{self.address}"


class Scene:
    UPLINK, UPLINK_ADDRESS = "ens10", "192.168.100.111"
    open = []  # scenes that are not closed

    def __init__(self, cores):
        """`cores`: of the generator, and of what is measured."""
        self.generator_core, self.core = cores
        self.processes = []
        self.spaces = []
        Scene.open.append(self)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=OURS))
        self.client = Pod("client", "10.244.153.204", {"role": "client"})
        self.server = Pod("server", "10.244.153.201", {"role": "server"})
        self.pods = (self.client, self.server)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _namespace(self, name):
        space = OURS + name
        self.spaces.append(space)
        run("ip", "netns", "add", space)
        run("ip", "-n", space, "link", "set", "lo", "up")
        for scope in ("all", "default"):
            run("ip", "netns", "exec", space, "sysctl", "-qw",
                f"net.ipv6.conf.{scope}.disable_ipv6=1")
        return space

    def _make(self):
        self.node = self._namespace("node")
        for pod in self.pods:
            pod.space = self._namespace(pod.name)
            self._wire(pod)
        wire = self._namespace("wire")
        self.ip("link", "add", self.UPLINK, "type", "veth", "peer", "name", "far", "netns", wire)
        self.ip("addr", "add", f"{self.UPLINK_ADDRESS}/24", "dev", self.UPLINK)
        self.ip("link", "set", self.UPLINK, "up")
        run("ip", "-n", wire, "link", "set", "far", "up")

    def _wire(self, pod):
        self.ip("link", "add", pod.interface, "type", "veth", "peer", "name", "eth0", "netns",
                pod.space)
        self.ip("link", "set", pod.interface, "address", NODE_MAC, "up")
        for command in (f"addr add {pod.address}/32 dev eth0", "link set eth0 up",
                        "route add 169.254.1.1 dev eth0 scope link",
                        "route add default via 169.254.1.1 dev eth0",
                        f"neigh replace 169.254.1.1 lladdr {NODE_MAC} dev eth0 nud permanent"):
            run("ip", "-n", pod.space, *command.split())
        pod.mac = json.loads(run("ip", "-n", pod.space, "-j", "link", "show", "eth0").stdout)[0][
            "address"]
        self.ip("route", "add", pod.address, "dev", pod.interface)
        self.ip("neigh", "replace", pod.address, "lladdr", pod.mac, "dev", pod.interface, "nud",
                "permanent")

    def ip(self, *arguments):
        return run("ip", "-n", self.node, *arguments).stdout

    def _enter(self, space):
        # Not `ip netns exec`: mounts made in it, as of sluice's pins, would end with it.
        return "nsenter", f"--net=/run/netns/{space or self.node}"

    def run(self, *command, space=None, **options):
        return run(*self._enter(space), *command, **options)

    def start(self, *command, space=None, log=None, **options):
        """A process in the background, on the two cores of the benchmark."""
        cores = f"{self.generator_core},{self.core}"
        with open(self.directory / (log or "log"), "ab") as output:
            process = subprocess.Popen(
                [*self._enter(space), "taskset", "-c", cores, *FIRST, *command], stdout=output,
                stderr=output, preexec_fn=_end_with_parent, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def log(self, name="log"):
        with contextlib.suppress(OSError):
            return (self.directory / name).read_text(errors="replace")[-1500:]
        return ""

    def sysctl(self, setting, value):
        run("ip", "netns", "exec", self.node, "sysctl", "-qw", f"{setting}={value}")

    def finish_checksums(self):
        """The pods' kernels do: for a subject that passes on frames as it gets them."""
        for pod in self.pods:
            run("ip", "netns", "exec", pod.space, "ethtool", "-K", "eth0", "tx", "off")

    def has_xdp(self):
        """Programs are on both pods' interfaces."""
        return all('"xdp"' in self.ip("-j", "link", "show", "dev", pod.interface)
                   for pod in self.pods)

    def receive_on_core(self):
        """What enters the node at the pods' interfaces is processed on the measured core, by
        NAPI threads that are pinned there: as a NIC's queue with its interrupt there would be."""
        for pod in self.pods:
            run("ip", "netns", "exec", self.node, "ethtool", "-K", pod.interface, "gro", "on")
            run("ip", "netns", "exec", self.node, "sh", "-c",
                f"echo 1 > /sys/class/net/{pod.interface}/threaded")
            wanted = f"napi/{pod.interface}"[:15]
            threads = [p.parent.name for p in pathlib.Path("/proc").glob("[0-9]*/comm")
                       if _read(p).startswith(wanted)]
            if not threads:
                raise Failure(f"the kernel has no NAPI thread for {pod.interface}")
            for thread in threads:
                run("taskset", "-pc", str(self.core), thread)
                run("renice", "-n", "-20", "-p", thread)

    def stop(self, process, seconds=10):
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        """Each step is tried whatever comes of the others; may be called again if one failed."""
        with contextlib.ExitStack() as steps:  # the last first
            steps.callback(_remove, self.directory)
            for space in self.spaces:
                steps.callback(run, "ip", "netns", "del", space, check=False)
            for process in list(self.processes):
                steps.callback(self.stop, process)
        Scene.open.remove(self)


def _read(path):
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def _remove_all(is_left):
    for space in pathlib.Path("/run/netns").glob(PREFIX + "*"):
        if is_left(space.name):
            run("ip", "netns", "del", space.name, check=False)
    for directory in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        if is_left(directory.name):
            _remove(directory)


def remove_leftovers():
    """Removes what runs that were killed have left."""
    def is_left(name):
        owner = name.removeprefix(PREFIX).split("-")[0]
        return name.startswith(PREFIX) and not os.path.exists(f"/proc/{owner}")
    _remove_all(is_left)


def remove_ours():
    """Ends and removes what this run has made and not closed, wherever it was interrupted."""
    for scene in list(Scene.open):
        with contextlib.suppress(Failure, OSError, AttributeError):  # not all of it may be there
            scene.close()
    _remove_all(lambda name: name.startswith(OURS))


def _remove(directory):
    for mounted in directory.glob("state/*"):
        if mounted.is_mount():
            run("umount", "-l", str(mounted), check=False)
    shutil.rmtree(directory, ignore_errors=True)
