# SPDX-License-Identifier: Apache-2.0
"""Nodes on a switch, pods behind them: each in a namespace of its own.

A Node runs sluiced, a Peer runs peer.py. Frames that sluiced sends are invisible on the node's
own interface (AF_XDP goes past the taps); they are captured on the switch or in the pod.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading

from namespace import Capture, Namespace, make_directory, remove_directory, run, wait_until

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", pathlib.Path(__file__).parents[2] / "build"))
SLUICED = str(BUILD / "control/sluiced")
SLUICECTL = str(BUILD / "control/sluicectl")
FATES = ("forwarded", "punted", "consumed", "held", "dropped")
PATIENCE = 5.0  # for an answer that must come
DENIED = 1.2  # for one that must not: longer than the first retransmission


class Host:
    """An address of either family, and the namespace whose kernel answers there."""

    def __init__(self, namespace, address, bind=True):
        self.namespace = namespace
        self.address = address
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.bind = bind

    def listen(self, port):
        listener = self.namespace.socket(self.family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, port))
        listener.listen(16)
        listener.settimeout(PATIENCE)
        return listener

    def connect(self, to, port, timeout=PATIENCE):
        client = self.namespace.socket(self.family, socket.SOCK_STREAM)
        client.settimeout(timeout)
        try:
            if self.bind:
                client.bind((self.address, 0))
            client.connect((to.address, port))
        except OSError:
            client.close()
            raise
        client.settimeout(PATIENCE)
        return client

    def reaches(self, to, port):
        """A TCP connection opens, within DENIED seconds."""
        with to.listen(port):
            try:
                self.connect(to, port, DENIED).close()
                return True
            except OSError:
                return False

    def udp(self, port=0):
        datagrams = self.namespace.socket(self.family, socket.SOCK_DGRAM)
        datagrams.bind((self.address if self.bind else "", port))
        datagrams.settimeout(PATIENCE)
        return datagrams

    def ping(self, to, *options):
        source = ("-I", self.address) if self.bind else ()
        return self.namespace.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", *source,
                                  *options, to.address, check=False)

    def pings(self, to):
        """All three pings are answered."""
        done = self.ping(to)
        return done.returncode == 0 and " 0% packet loss" in done.stdout


def transfer(sender, receiver, data):
    """What the receiver gets of `data` is `data`."""
    thread = threading.Thread(target=sender.sendall, args=(data,))
    thread.start()
    got = bytearray()
    while len(got) < len(data):
        piece = receiver.recv(1 << 16)
        assert piece, f"the connection ended after {len(got)} of {len(data)} bytes"
        got += piece
    thread.join()
    assert bytes(got) == data


def connect(client, server, port=80, patience=PATIENCE):
    """Both ends of a new connection."""
    with server.listen(port) as listener:
        near = client.connect(server, port)
        far, _ = listener.accept()
    far.settimeout(patience)
    return near, far


def exchange_tcp(client, server, port=80, size=100_000):
    """A new connection carries `size` bytes each way."""
    near, far = connect(client, server, port)
    with near, far:
        transfer(near, far, os.urandom(size))
        transfer(far, near, os.urandom(size))


def exchange_udp(client, server, port=53, size=512):
    """A datagram is answered by another."""
    question, answer = os.urandom(size), os.urandom(size)
    with server.udp(port) as at_server, client.udp() as at_client:
        at_client.sendto(question, (server.address, port))
        got, sender = at_server.recvfrom(65536)
        assert got == question
        at_server.sendto(answer, sender)
        assert at_client.recvfrom(65536)[0] == answer


class Pod(Host):
    """A namespace with eth0, wired to its node as Calico's CNI plugin does it; with IPv6, too, if
    `address6` is given: then `six` is the pod by that address."""

    def __init__(self, node, name, address, labels, address6=None):
        super().__init__(Namespace(name), address)
        self.node = node
        self.name = name
        self.labels = labels
        self.interface = "cali" + name
        self.six = address6 and Host(self.namespace, address6)
        self.wire()

    def wire(self):
        """The veth pair, with a MAC address of its own."""
        node, address = self.node, self.address
        node.namespace.ip("link", "add", self.interface, "type", "veth", "peer", "name", "eth0",
                          "netns", self.namespace.name)
        node.namespace.ip("link", "set", self.interface, "address", "ee:ee:ee:ee:ee:ee", "up")
        for command in (f"addr add {address}/32 dev eth0", "link set eth0 up",
                        "route add 169.254.1.1 dev eth0 scope link",
                        "route add default via 169.254.1.1 dev eth0"):
            self.namespace.ip(*command.split())
        if self.six:
            self.namespace.enable_ip6("eth0")
            for command in (f"addr add {self.six.address}/128 dev eth0",
                            "route add default via fe80::ecee:eeff:feee:eeee dev eth0"):
                self.namespace.ip("-6", *command.split())

    def capture(self):
        return Capture(self.namespace, "eth0")

    def mac(self):
        return json.loads(self.namespace.ip("-j", "link", "show", "eth0"))[0]["address"]

    def send_frame(self, frame):
        """Sends a frame of scapy's as it is."""
        with self.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            with self.namespace.entered():
                raw.bind(("eth0", 0))
            raw.send(bytes(frame))

    def resource(self):
        labels = ", ".join(f"{k}: {v}" for k, v in self.labels.items())
        networks = f"{self.address}/32" + (f', "{self.six.address}/128"' if self.six else "")
        return f"""---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {self.node.name}-k8s-{self.name}-eth0, namespace: default, labels: {{{labels}}}}}
spec: {{node: {self.node.name}, orchestrator: k8s, pod: {self.name}, endpoint: eth0,
  interfaceName: {self.interface}, ipNetworks: [{networks}], profiles: [kns.default]}}
"""


class Machine:
    """What a Node and a Peer have in common: a namespace with ens10 on the switch."""

    def __init__(self, cluster, number, block):
        self.cluster = cluster
        self.name = f"node{number}"
        self.address = f"192.168.100.{number}"
        self.block = block
        self.tunnel = block.split("/")[0]
        self.port = f"port{number}"
        self.namespace = Namespace(self.name)
        self.plug_in(queues=1)
        self.host = Host(self.namespace, self.address, bind=False)
        self.six = self.block6 = None

    def plug_in(self, queues):
        """ens10, with as many queues each way."""
        count = ("numrxqueues", str(queues), "numtxqueues", str(queues))
        self.cluster.wire.ip("link", "add", self.port, *count, "type", "veth", "peer", "name",
                             "ens10", *count, "netns", self.namespace.name)
        self.cluster.wire.ip("link", "set", self.port, "master", "switch", "up")
        self.namespace.ip("addr", "add", f"{self.address}/24", "dev", "ens10")
        self.namespace.ip("link", "set", "ens10", "up")

    def enable_ip6(self, address, block):
        """IPv6 on ens10; `six` is the machine by that address."""
        self.namespace.enable_ip6("ens10")
        self.namespace.ip("-6", "addr", "add", f"{address}/64", "dev", "ens10")
        self.six, self.block6 = Host(self.namespace, address, bind=False), block

    def capture(self):
        """What it sends, as the switch gets it."""
        return Capture(self.cluster.wire, self.port)

    def resource(self):
        six = f', ipv6Address: "{self.six.address}/64"' if self.six else ""
        node = f"""---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: {self.name}}}
spec: {{bgp: {{ipv4Address: {self.address}/24, ipv4IPIPTunnelAddr: {self.tunnel}{six}}}}}
"""
        return node + "".join(f"""---
apiVersion: projectcalico.org/v3
kind: BlockAffinity
metadata: {{name: {self.name}-block{number}}}
spec: {{cidr: "{block}", node: {self.name}, state: confirmed}}
""" for number, block in enumerate(filter(None, (self.block, self.block6))))

    def close(self):
        self.namespace.close()


class Peer(Machine):
    """An IPIP node without sluice; `pods` are addresses of its kernel."""

    def __init__(self, cluster, number, block, other, seed=None):
        super().__init__(cluster, number, block)
        disturbed = () if seed is None else (str(seed),)
        script = str(pathlib.Path(__file__).with_name("peer.py"))
        self.process = self.namespace.start("/usr/bin/python3", script, "tun0", self.address,
                                            other.address, *disturbed, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"
        self.namespace.ip("link", "set", "tun0", "mtu", "1480", "up")
        self.namespace.ip("route", "add", other.block, "dev", "tun0")

    def pod(self, address):
        self.namespace.ip("addr", "add", f"{address}/32", "dev", "tun0")
        return Host(self.namespace, address)

    def close(self):
        super().close()
        self.process.stdout.close()


class Node(Machine):
    """A namespace in which sluiced runs, and its configuration."""

    def __init__(self, cluster, number, block):
        super().__init__(cluster, number, block)
        self.directory = cluster.directory / self.name
        self.config = self.directory / "sluice.yaml"
        self.socket = cluster.directory / f"{self.name}.sock"
        self.log = self.directory / "log"
        self.process = None
        (self.directory / "policy.d").mkdir(parents=True)
        self.settings = {
            "node": self.name,
            "resources": ["policy.d"],
            "uplink": {"interface": "ens10", "addresses": [f"{self.address}/24"]},
            "workers": {"cores": [0], "idle": "adaptive"},
            "connections": {"max": 65536},
            "path": {"onExit": "kernel"},
            "control": {"socket": str(self.socket), "state": str(self.directory / "state")},
        }

    def write(self, name, text):
        """A resource file, swapped in whole."""
        path = self.directory / "policy.d" / name
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)

    def remove(self, name):
        (self.directory / "policy.d" / name).unlink()

    def write_config(self):
        self.config.write_text(json.dumps(self.settings, indent=1))
        self.write("cluster.yaml", self.cluster.resources())

    def start(self, prefix=()):
        self.write_config()
        with open(self.log, "ab") as log:
            self.process = self.namespace.start(*prefix, SLUICED, "--config", str(self.config),
                                                stdout=log, stderr=log)
        wait_until(self.answers, lambda: "sluiced does not come up:\n" + self.log.read_text(), 20)

    def answers(self):
        assert self.process.poll() is None, "sluiced ended:\n" + self.log.read_text()
        return self.ctl("status").returncode == 0

    def run_to_end(self, *arguments, prefix=()):
        """sluiced that is expected to refuse to start."""
        return self.namespace.run(*prefix, SLUICED, "--config", str(self.config), *arguments,
                                  check=False)

    def ctl(self, *arguments):
        return run(SLUICECTL, "-s", str(self.socket), *arguments, check=False)

    def query(self, *arguments):
        done = self.ctl("-o", "json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def drops(self):
        return self.query("stats", "drops")

    def free_buffers(self):
        return self.query("status")["buffers"]["free"]

    def check_buffers(self, least):
        """As many have come back; what a port sent last it gives back when it sends the next."""
        wait_until(lambda: self.free_buffers() >= least,
                   lambda: f"{self.free_buffers()} buffers free, not {least}", 3)

    def rule(self, policy, direction="ingress", rule=0):
        """The counters of one rule; zeros before it was seen."""
        for row in self.query("stats", "rules"):
            if (row["policy"], row["direction"], row["rule"]) == (policy, direction, rule):
                return row
        return {"connections": 0, "packets": 0, "bytes": 0, "action": None}

    def generation(self):
        return self.query("status")["generation"]

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def reload(self):
        """SIGHUP, until what it brings is in force."""
        before = self.generation()
        self.hang_up()
        wait_until(lambda: self.generation() > before,
                   lambda: "no new generation:\n" + self.log.read_text())

    def check_balance(self):
        """Every frame received has ended in one fate, and every drop has a reason."""
        def imbalance():
            stats = self.query("stats")
            wrong = {name: port for name, port in stats["ports"].items()
                     if port["rx_packets"] != sum(port[fate] for fate in FATES)}
            dropped = sum(port["dropped"] for port in stats["ports"].values())
            reasons = sum(n for reason, n in stats["drops"].items() if reason != "rx_missed")
            # A port that has gone takes its row along, but the reasons stay.
            if dropped > reasons or (dropped < reasons and "closed" not in self.log.read_text()):
                wrong["reasons"] = (dropped, stats["drops"])
            if "sys_bug" in stats["drops"]:
                wrong["sys_bug"] = stats["drops"]
            return wrong
        wait_until(lambda: not imbalance(), lambda: f"{self.name}: {imbalance()}", 3)

    def stop(self):
        """TERM; returns the exit code."""
        self.check_balance()
        self.process.terminate()
        code = self.process.wait(15)
        self.process = None
        return code

    def close(self):
        try:
            if self.process is not None:
                assert self.process.poll() is None, "sluiced died:\n" + self.log.read_text()
                assert self.stop() == 0
        finally:
            if self.directory.joinpath("state").exists():
                self.detach()
            super().close()

    def detach(self):
        """What a sluiced that has ended left in the kernel."""
        return self.namespace.run(SLUICECTL, "detach", "--config", str(self.config), check=False)


class Cluster:
    """All that one test uses; close() checks every node's counters and removes everything."""

    POD1, NGINX1, NGINX2 = "10.244.153.204", "10.244.153.201", "10.244.146.205"

    def __init__(self):
        self.directory = make_directory()
        self.machines = []
        self.pods = []
        self.wire = Namespace("wire")
        self.wire.ip("link", "add", "switch", "type", "bridge")
        self.wire.ip("link", "set", "switch", "up")

    def node(self, number=111, block="10.244.153.192/26"):
        self.machines.append(Node(self, number, block))
        return self.machines[-1]

    def peer(self, other, number=112, block="10.244.146.192/26", seed=None):
        self.machines.append(Peer(self, number, block, other, seed))
        return self.machines[-1]

    def pod(self, node, name, address, address6=None, **labels):
        self.pods.append(Pod(node, name, address, labels, address6))
        return self.pods[-1]

    def remove_pod(self, pod):
        self.pods.remove(pod)
        pod.namespace.close()

    def resources(self):
        head = """apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 10.244.0.0/16, ipipMode: Always}
"""
        return head + "".join(x.resource() for x in self.machines + self.pods)

    def report(self):
        """For whoever reads a failure: each sluiced's log and counters."""
        text = ""
        for node in self.machines:
            if isinstance(node, Node) and node.log.exists():
                text += f"--- {node.name}\n{node.log.read_text()}{node.ctl('stats').stdout}"
        return text

    def close(self):
        """Removes all of it, whatever fails; the first failure is raised."""
        report = self.report()
        failures = []
        for part in self.machines + [pod.namespace for pod in self.pods] + [self.wire]:
            try:
                part.close()
            except Exception as failure:  # the rest must go all the same
                failures.append(failure)
        remove_directory(self.directory)
        if failures:
            raise AssertionError(f"{failures[0]}\n{report}") from failures[0]
