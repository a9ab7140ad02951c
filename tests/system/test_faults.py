# SPDX-License-Identifier: Apache-2.0
"""Faults while traffic flows: kills, storms, full buffers and pipes, ports that go. What policy
denies never passes, and what it allows goes on."""
import ctypes
import fcntl
import mmap
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from cluster import BUILD, SLUICED, exchange_tcp, exchange_udp
from namespace import wait_until
from test_policy import CALICO, DENY_ALL

SO_RCVBUFFORCE = 33
CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF = 12, 13, 14, 39


@pytest.fixture
def long(request):
    return request.config.getoption("--long")


class Datagrams:
    """One pod sends numbered datagrams without pause; which of them arrive at another."""

    def __init__(self, sender, receiver, port, fresh=False):
        self.sender = sender
        self.fresh = fresh  # each from another port: each is judged
        self.arrived = 0
        self.sent = 0
        self.target = (receiver.address, port)
        self.at_receiver = receiver.udp(port)
        self.at_sender = sender.udp()
        self.at_receiver.settimeout(0.05)
        self.at_receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.over = threading.Event()  # for the sender
        self.done = threading.Event()  # for the receiver
        self.threads = [threading.Thread(target=f) for f in (self._send, self._receive)]

    def _send(self):
        while not self.over.is_set():
            if self.fresh:
                self.at_sender.close()
                self.at_sender = self.sender.udp()
            try:
                self.at_sender.sendto(self.sent.to_bytes(8, "big"), self.target)
                self.sent += 1
            except OSError:
                pass  # no neighbour while nobody forwards
            time.sleep(0.0005)

    def _receive(self):
        while not self.done.is_set():
            try:
                self.at_receiver.recv(64)
                self.arrived += 1
            except OSError:
                pass

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop_sending(self):
        self.over.set()
        self.threads[0].join()

    def __exit__(self, *_):
        self.over.set()
        self.done.set()
        for thread in self.threads:
            thread.join()
        self.at_receiver.close()
        self.at_sender.close()


def check_loss(node, report, count):
    """Of `count` pings none is lost, but for what a worker that got no CPU left in its ring."""
    received = int(re.search(rf"{count} packets transmitted, (\d+) received", report).group(1))
    assert count - received <= node.drops().get("rx_missed", 0), report


UDP_80_ONLY = CALICO.replace("TCP", "UDP")


def test_no_kill_lets_a_denied_packet_pass(node, pod1, nginx1, kernel_routes, long):
    node.settings["path"]["onExit"] = "drop"
    node.write("calico.yaml", UDP_80_ONLY)
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    with Datagrams(pod1, nginx1, 81) as denied_ones, Datagrams(pod1, nginx1, 80) as allowed:
        wait_until(lambda: allowed.arrived > 0, "what is allowed does not pass")
        for _ in range(200 if long else 10):
            node.process.send_signal(signal.SIGKILL)
            assert node.process.wait(10) == -signal.SIGKILL
            sent, passed = denied_ones.sent, allowed.arrived
            wait_until(lambda: denied_ones.sent > sent + 20, "nothing is sent meanwhile")
            assert allowed.arrived <= passed + 64, "the kernel forwards"  # what was under way
            node.start()
            before = allowed.arrived
            wait_until(lambda: allowed.arrived > before + 20, "what is allowed does not pass")
    assert denied_ones.sent > 200 and denied_ones.arrived == 0


# Each denies UDP 81, for another reason: only a mixture of the two lets it pass.
DENY_81 = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: deny-81, namespace: default}
spec: {order: 5, selector: app == 'nginx', types: [Ingress], ingress: [
  {action: Deny, protocol: UDP, destination: {ports: [81]}}]}
---
"""
WIDE = UDP_80_ONLY.replace("[80]", "['80:90']")


def test_swaps_under_load_lose_and_mix_nothing(node, pod1, nginx1, long):
    sets = [DENY_81 + WIDE, UDP_80_ONLY]
    node.write("calico.yaml", sets[0])
    node.write("kubernetes.yaml", DENY_ALL)
    node.start()
    generation = node.generation()
    swaps = 10000 if long else 500
    with Datagrams(pod1, nginx1, 81, fresh=True) as never, \
         Datagrams(pod1, nginx1, 80, fresh=True) as always:
        wait_until(lambda: always.arrived > 0 and never.sent > 0, "nothing flows")
        for swap in range(swaps):
            node.write("calico.yaml", sets[(swap + 1) % 2])
            done = node.ctl("reload")
            assert done.returncode == 0, done.stderr
        always.stop_sending()
        # A worker that gets no CPU leaves frames in its ring, whatever is swapped.
        wait_until(lambda: always.sent - always.arrived <= node.drops().get("rx_missed", 0),
                   lambda: f"{always.arrived} of {always.sent} arrived; {node.drops()}")
        assert set(node.drops()) <= {"policy_deny_ingress", "rx_missed"}
    assert node.generation() - generation == swaps
    assert never.sent > swaps and never.arrived == 0


def test_a_sighup_storm_costs_no_packet_and_loses_no_change(node, pod1, nginx1):
    node.start()
    count = 1000
    pings = pod1.namespace.start("ping", "-n", "-q", "-c", str(count), "-i", "0.004",
                                 nginx1.address, stdout=subprocess.PIPE, text=True)
    storm = threading.Event()

    def hang_up():
        while not storm.is_set():
            node.hang_up()
            time.sleep(0.0002)
    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        for turn in range(10):
            node.write("calico.yaml", CALICO.replace("[80]", f"[{1000 + turn}]").replace(
                "allow-pod1", f"turn-{turn}").replace("    - action", "    - {action: Allow}\n"
                                                      "    - action"))
            wait_until(lambda: any(p["name"] == f"turn-{turn}"
                                   for p in node.query("get", "policies")),
                       f"change {turn} is not in force")
    finally:
        storm.set()
        thread.join()
    out = pings.communicate(timeout=30)[0]
    check_loss(node, out, count)


def test_a_pod_that_takes_over_another_address_loses_the_old_one(cluster, node, pod1, nginx1):
    node.write("calico.yaml", CALICO)
    node.start()
    old, new = nginx1.address, "10.244.153.240"
    exchange_tcp(pod1, nginx1)
    nginx1.namespace.ip("addr", "add", f"{new}/32", "dev", "eth0")
    nginx1.namespace.ip("addr", "del", f"{old}/32", "dev", "eth0")
    nginx1.address = new
    # Until the node's resources say so, the new address is nobody's and may not speak.
    drops = node.drops().get("rpf_workload", 0)
    nginx1.namespace.send_raw(IP(src=new, dst=pod1.address) / UDP(sport=1, dport=2) / Raw(b"x"))
    wait_until(lambda: node.drops().get("rpf_workload", 0) > drops, node.drops)
    node.write_config()
    node.reload()
    exchange_tcp(pod1, nginx1)
    assert not pod1.reaches(nginx1, 81), "the policy has moved along"
    drops = node.drops().get("rpf_workload", 0)
    nginx1.namespace.send_raw(IP(src=old, dst=pod1.address) / UDP(sport=1, dport=2) / Raw(b"x"))
    wait_until(lambda: node.drops().get("rpf_workload", 0) > drops, node.drops)


def test_connections_of_an_address_do_not_pass_to_its_next_pod(cluster, node, pod1):
    """A flow that the first pod's policy allowed is judged by the second's."""
    node.write("calico.yaml", DENY_ALL.replace("podSelector: {}",
                                               "podSelector: {matchLabels: {app: closed}}"))
    first = cluster.pod(node, "first", "10.244.153.241", app="open")
    node.start()
    with pod1.udp(5000) as client:
        client.settimeout(0.3)

        def reaches(server):
            with server.udp(6000) as at_server:
                at_server.settimeout(0.5)
                client.sendto(b"x", (server.address, 6000))
                try:
                    at_server.sendto(b"y", at_server.recvfrom(64)[1])
                    return client.recv(64) == b"y"
                except OSError:
                    return False
        assert reaches(first) and reaches(first)
        cluster.remove_pod(first)
        second = cluster.pod(node, "second", first.address, app="closed")
        node.write_config()
        node.reload()
        wait_until(lambda: second.pings(pod1), "the second pod has no way out")
        assert not reaches(second)
        assert node.drops().get("policy_deny_ingress", 0) > 0


def test_a_veth_deleted_under_traffic_costs_the_others_nothing(node, pod1, nginx1, cluster):
    node.start()
    guest = cluster.pod(node, "guest", "10.244.153.230")
    node.write_config()
    node.reload()
    exchange_tcp(pod1, guest)
    count = 1000
    pings = pod1.namespace.start("ping", "-n", "-q", "-c", str(count), "-i", "0.004",
                                 nginx1.address, stdout=subprocess.PIPE, text=True)
    with Datagrams(pod1, guest, 7000) as stream:
        for _ in range(3):
            arrived = stream.arrived
            wait_until(lambda: stream.arrived > arrived + 20, "the stream does not flow")
            node.namespace.ip("link", "del", guest.interface)
            wait_until(lambda: "no interface" in node.ctl("get", "endpoints",
                                                          guest.interface).stdout, "still open")
            guest.wire()
    out = pings.communicate(timeout=30)[0]
    check_loss(node, out, count)
    exchange_tcp(pod1, guest)


def test_a_flood_costs_packets_but_no_buffer(node, peer, pod1, nginx1, far):
    """More than the workers carry, in both directions, to neighbours that are there or not."""
    node.start()
    exchange_tcp(pod1, nginx1)
    exchange_tcp(pod1, far)
    before = node.free_buffers()
    flood = pathlib.Path(node.directory / "flood.py")
    flood.write_text("import socket, sys, time\n"
                     "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     "s.setblocking(False)\n"
                     "end = time.monotonic() + 3\n"
                     "n = 0\n"
                     "while time.monotonic() < end:\n"
                     "    for to in sys.argv[1:]:\n"
                     "        try: s.sendto(b'x' * 1400, (to, 1 + n % 16))\n"
                     "        except OSError: pass\n"
                     "        n += 1\n")
    senders = [host.namespace.start("/usr/bin/python3", str(flood), *targets)
               for host, targets in ((pod1, [nginx1.address, far.address, "10.244.153.250"]),
                                     (nginx1, [pod1.address, far.address]),
                                     (far, [pod1.address, nginx1.address]))]
    for sender in senders:
        assert sender.wait(30) == 0
    # A port's last burst is taken back when it sends the next.
    exchange_tcp(pod1, nginx1)
    exchange_tcp(pod1, far)
    node.check_buffers(before - 128)


def test_a_log_that_nobody_reads_holds_nothing_up(node, pod1, nginx1):
    """Standard error is a full pipe: reloads, forwarding and the end go on, and it is told."""
    node.write_config()
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    with open(read_end, "rb") as reader:
        with open(write_end, "wb") as writer:
            node.log.write_text("")
            node.process = node.namespace.start(SLUICED, "--config", str(node.config),
                                                stdout=writer, stderr=writer)
        wait_until(node.answers, "sluiced does not come up", 20)
        for turn in range(60):
            node.write("calico.yaml", CALICO.replace("[80]", f"[80, {1000 + turn}]"))
            assert node.ctl("reload").returncode == 0
        wait_until(lambda: node.query("stats")["alarms"]["log_lines_dropped"] > 0, "no line lost")
        assert re.search(r"alarms +log_lines_dropped \d+", node.ctl("status").stdout)
        exchange_tcp(pod1, nginx1)
        assert node.stop() == 0
        assert reader.read().count(b"reload generation=") < 60


def hold_queue(node, interface):
    """An AF_XDP socket of another process's on the interface's queue 0, and its memory."""
    AF_XDP, SOL_XDP, RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 44, 283, 2, 4, 5, 6
    holder = node.namespace.socket(AF_XDP, socket.SOCK_RAW)
    memory = mmap.mmap(-1, 1 << 16)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    holder.setsockopt(SOL_XDP, UMEM_REG, struct.pack("=QQII", address, 1 << 16, 4096, 0))
    for ring in (FILL_RING, COMPLETION_RING, RX_RING):
        holder.setsockopt(SOL_XDP, ring, struct.pack("=I", 8))
    with node.namespace.entered():
        index = socket.if_nametoindex(interface)
    name = struct.pack("=HHIII", AF_XDP, 0, index, 0, 0)
    assert ctypes.CDLL(None).bind(holder.fileno(), name, len(name)) == 0
    return holder, memory


def test_a_pods_queue_that_was_held_is_taken_when_it_is_free(node, pod1, nginx1):
    """Nothing tells that it is: no link changes."""
    holder, memory = hold_queue(node, pod1.interface)
    node.start()
    assert "AF_XDP socket is refused" in node.log.read_text()
    assert not nginx1.pings(pod1)
    holder.close()
    wait_until(lambda: nginx1.pings(pod1), "the pod has no port")
    exchange_tcp(pod1, nginx1)


def thread_states(pid):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        yield dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_a_running_sluiced_may_do_little(node, pod1, nginx1):
    node.start()
    limits = pathlib.Path(f"/proc/{node.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    names = ["net_admin", "net_raw", "bpf"]
    kept = 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW | 1 << CAP_BPF
    if not re.search(r"Max locked memory +unlimited +unlimited ", limits):  # in a container
        kept |= 1 << CAP_IPC_LOCK
        names.append("ipc_lock")
    states = list(thread_states(node.process.pid))
    assert len(states) >= 3
    sanitized = "asan" in subprocess.run(["ldd", f"/proc/{node.process.pid}/exe"], text=True,
                                         capture_output=True).stdout
    for state in states:
        for of in ("CapEff", "CapPrm", "CapBnd"):
            assert int(state[of], 16) & ~kept == 0, (state["Name"], of, state[of])
        assert int(state["CapInh"], 16) == 0 and int(state["CapAmb"], 16) == 0
        if not sanitized:
            assert state["NoNewPrivs"] == "1" and state["Seccomp"] == "2", state["Name"]
    posture = node.query("status")["posture"]
    assert sorted(posture.pop("capabilities")) == sorted(names)
    assert posture == {"core_dumps": False, "no_new_privileges": True,
                       "seccomp": not sanitized}
    assert "seccomp" in node.ctl("status").stdout
    # All that it does later still works: a pod comes, one goes, a neighbour is asked for.
    node.namespace.ip("link", "del", nginx1.interface)
    nginx1.wire()
    wait_until(lambda: nginx1.pings(pod1), "the pod is lost")
    exchange_udp(pod1, nginx1)


def test_a_step_of_the_wall_clock_is_not_noticed(node, pod1, nginx1):
    """Connections and timers run by CLOCK_MONOTONIC: sluiced reads no other on its path."""
    symbols = subprocess.run(["nm", "-C", "-u", str(BUILD / "fastpath/libfastpath.a")], text=True,
                             capture_output=True, check=True).stdout
    wall = re.findall(r"U (time|gettimeofday|std::chrono.*system_clock::now\(\).*)$", symbols, re.M)
    assert not wall
