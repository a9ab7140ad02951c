# SPDX-License-Identifier: Apache-2.0
"""A network namespace: commands and sockets in it, and what passes its interfaces."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from scapy.layers.l2 import Ether

PREFIX = "sluice-test-"
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33
_ETH_P_ALL = 3
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, timeout=20, check=True, **options):
    """Runs a command to its end; with `check`, a failure shows what it printed."""
    done = subprocess.run(command, timeout=timeout, capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def wait_until(condition, what, seconds=10.0):
    """Polls until `condition()` is true and returns its value; fails with `what` otherwise."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def end_with_parent():
    """For preexec_fn: even if pytest is killed, nothing it started stays."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def make_directory():
    return pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def remove_directory(directory):
    for mounted in directory.glob("*/state/*"):
        if mounted.is_mount():
            run("umount", "-l", str(mounted), check=False)
    shutil.rmtree(directory, ignore_errors=True)


def remove_leftovers():
    """Removes what test runs that were killed have left."""
    def is_left(name):
        owner = name.removeprefix(PREFIX).split("-")[0]
        return name.startswith(PREFIX) and not os.path.exists(f"/proc/{owner}")
    for line in run("ip", "netns", "list").stdout.splitlines():
        if is_left(line.split()[0]):
            run("ip", "netns", "del", line.split()[0], check=False)
    for directory in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        if is_left(directory.name):
            remove_directory(directory)


class Namespace:
    """Made at once; `close()` ends what runs in it and removes it."""

    def __init__(self, name):
        self.name = f"{PREFIX}{os.getpid()}-{name}"
        self.processes = []
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        with self.entered():
            # The kernel's own IPv6 chatter would appear among the counted drops.
            for scope in ("all", "default"):
                with open(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "w") as f:
                    f.write("1")

    def enable_ip6(self, interface):
        """IPv6 with a link-local address, usable at once, and no word of routers."""
        for setting in ("accept_dad=0", "accept_ra=0", "router_solicitations=0", "disable_ipv6=0"):
            self.run("sysctl", "-qw", f"net.ipv6.conf.{interface}.{setting}")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace: sockets made here stay in it."""
        with open("/proc/thread-self/ns/net") as before, \
             open(f"/run/netns/{self.name}") as inside:
            self._set(inside)
            try:
                yield
            finally:
                self._set(before)

    @staticmethod
    def _set(namespace):
        if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments).stdout

    def _enter(self):
        # Not `ip netns exec`: mounts made in it, as of sluice's pins, would end with it.
        return "nsenter", f"--net=/run/netns/{self.name}"

    def run(self, *command, **options):
        return run(*self._enter(), *command, **options)

    def start(self, *command, **options):
        """A process in the background; it is ended by close() at the latest."""
        process = subprocess.Popen([*self._enter(), *command], preexec_fn=end_with_parent,
                                   start_new_session=True, **options)
        self.processes.append(process)
        return process

    def socket(self, family, kind, protocol=0):
        with self.entered():
            return socket.socket(family, kind, protocol)

    def send_raw(self, packet):
        """Sends an IPv4 packet of scapy's as it is, whatever its source address."""
        with self.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(bytes(packet), (packet.dst, 0))

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        run("ip", "netns", "del", self.name, check=False)


class Capture:
    """The frames that arrive at an interface, from now on."""

    def __init__(self, namespace, interface):
        self.frames = []
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        with namespace.entered():
            self.socket.bind((interface, _ETH_P_ALL))
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def packets(self):
        """All so far, as scapy's packets."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, address = self.socket.recvfrom(65536)
                if address[2] != _PACKET_OUTGOING:
                    self.frames.append(Ether(data))
        return self.frames

    def wait_for(self, condition, what):
        """The packets that satisfy `condition`, as soon as there is one."""
        return wait_until(lambda: [p for p in self.packets() if condition(p)],
                          lambda: f"{what}; seen: {[p.summary() for p in self.packets()]}", 5)


def checksums_are_right(packet):
    """Scapy computes all checksums of the frame, inner and outer, to the same values."""
    fresh = packet.copy()
    layer = fresh
    while layer:
        if "chksum" in layer.fields:
            del layer.chksum
        layer = layer.payload
    return bytes(fresh) == bytes(packet.original)
