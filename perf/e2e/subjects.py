# SPDX-License-Identifier: Apache-2.0
"""What is measured: each subject forwards between the two pods of a scene by the same rules.

start() brings it up with `count` rules and returns when it forwards; the scene's close() ends
it. `policy` says whether it judges at all: what does not is there to compare with.
"""
import json
import os

import packages
import rules
from scene import Failure, run, wait_until

CONNECTIONS = 4_000_000  # room in every connection table: none fills up in a run
OVS_PACKAGES = ("openvswitch-switch-dpdk", "openvswitch-switch", "openvswitch-common")
AF_XDP_PACKAGE = "librte-net-af-xdp23"  # a plugin: nothing depends on it
EAL = ("--no-huge", "--no-shconf", "--no-pci", "--no-telemetry")
BUFFERS = 16384 + 128 * 512  # as sluiced has with up to 102 pods (control/port_set.cc)


def af_xdp(number, pod):
    """DPDK's name of a pod's interface; without busy polling, as sluice's sockets are."""
    return f"net_af_xdp{number},iface={pod.interface},busy_budget=0"


class Subject:
    name = ""
    title = ""
    policy = True
    kernel_tracks = False  # connections
    packages = ()

    def __init__(self, scene, settings):
        self.scene = scene
        self.settings = settings

    def start(self, count):
        raise NotImplementedError

    def stop(self):
        """Before the scene is closed."""

    def version(self):
        return ""

    def problem(self):
        """What to show if it does not do what it should."""
        return self.scene.log()


class Forwarding(Subject):
    name, title, policy = "kernel", "kernel, no policy", False

    def start(self, count):
        self.scene.sysctl("net.ipv4.ip_forward", 1)
        self.scene.receive_on_core()
        self.load(count)

    def load(self, count):
        pass

    def stop(self):
        if self.policy:
            self.scene.run("conntrack", "-F", check=False)

    def version(self):
        return "Linux " + os.uname().release


class Iptables(Forwarding):
    name, title, policy = "iptables", "kernel, Calico's iptables", True
    kernel_tracks = True
    packages = ("iptables", "ipset", "conntrack", "kmod")

    def load(self, count):
        self.scene.run("ipset", "restore", input=rules.ipset(count, self.scene))
        self.scene.run("iptables-legacy-restore", input=rules.iptables(count, self.scene))

    def version(self):
        return run("iptables-legacy", "--version").stdout.strip()


class Nftables(Forwarding):
    name, title, policy = "nftables", "kernel, nftables", True
    kernel_tracks = True
    packages = ("nftables", "conntrack", "kmod")

    def load(self, count):
        self.scene.run("nft", "-f", "-", input=rules.nftables(count, self.scene))

    def version(self):
        return run("nft", "--version").stdout.strip()


class Testpmd(Subject):
    name, title, policy = "testpmd", "DPDK testpmd, no policy", False
    packages = ("dpdk-dev", AF_XDP_PACKAGE)
    writing = None

    def start(self, count):
        scene = self.scene
        scene.finish_checksums()
        devices = []
        for number, pod in enumerate(scene.pods):
            devices += ["--vdev", af_xdp(number, pod)]
        # The pipe stays open: testpmd ends when it can read a line.
        reading, self.writing = os.pipe()
        scene.start("dpdk-testpmd", "-l", f"{scene.generator_core},{scene.core}",
                    "--main-lcore", str(scene.generator_core), *EAL, "-m", "1024", *devices, "--",
                    "--forward-mode=mac", f"--eth-peer=0,{scene.client.mac}",
                    f"--eth-peer=1,{scene.server.mac}", "--auto-start", "--nb-cores=1",
                    "--disable-link-check", f"--total-num-mbufs={BUFFERS}", stdin=reading)
        os.close(reading)
        wait_until(scene.has_xdp, lambda: "testpmd: " + scene.log())

    def stop(self):
        if self.writing is not None:
            os.close(self.writing)
            self.writing = None

    def version(self):
        return run("dpkg-query", "-W", "-f", "DPDK ${Version}", "dpdk-dev").stdout


class Ovs(Subject):
    """Debian's packages unpacked into the build directory: no service is started; of what they
    depend on, libraries are installed."""
    name, title = "ovs", "OVS-DPDK, ct()"
    packages = (AF_XDP_PACKAGE, "librte-mempool-ring23")

    def __init__(self, scene, settings):
        super().__init__(scene, settings)
        self.root = settings["cache"] / "ovs"
        self.directory = scene.directory / "ovs"
        self.environment = {**os.environ, **{f"OVS_{what}DIR": str(self.directory)
                                             for what in ("RUN", "LOG", "SYSCONF", "DB")}}

    def unpack(self):
        if not (self.root / "usr/bin/ovs-vsctl").exists():
            packages.unpack(OVS_PACKAGES, self.root)
        if self.settings["install"]:
            packages.install(packages.libraries(self.root))

    def tool(self, name):
        for place in ("usr/lib/openvswitch-switch-dpdk", "usr/bin", "usr/sbin",
                      "usr/lib/openvswitch-switch"):
            if (self.root / place / name).exists():
                return str(self.root / place / name)
        raise Failure(f"{name} is not in Debian's packages of OVS")

    def run(self, name, *arguments):
        return run(self.tool(name), *arguments, env=self.environment)

    def vsctl(self, *arguments):
        self.run("ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=30", *arguments)

    def start(self, count):
        self.unpack()
        scene = self.scene
        scene.finish_checksums()
        self.directory.mkdir()
        schema = self.root / "usr/share/openvswitch/vswitch.ovsschema"
        self.run("ovsdb-tool", "create", f"{self.directory}/conf.db", str(schema))
        scene.start(self.tool("ovsdb-server"), f"{self.directory}/conf.db",
                    f"--remote=punix:{self.directory}/db.sock", "--no-chdir",
                    env=self.environment)
        wait_until(lambda: (self.directory / "db.sock").exists(), scene.log)
        extra = " ".join([*EAL, "--legacy-mem"])  # else OVS adds --in-memory, against --no-huge
        self.vsctl("--no-wait", "init", "--", "set", "Open_vSwitch", ".",
                   "other_config:dpdk-init=true", f"other_config:dpdk-extra={extra} -m 1024",
                   f"other_config:dpdk-lcore-mask={1 << scene.generator_core:#x}",
                   f"other_config:pmd-cpu-mask={1 << scene.core:#x}")
        scene.start(self.tool("ovs-vswitchd-dpdk"), f"unix:{self.directory}/db.sock",
                    "--no-chdir", f"--unixctl={self.directory}/vswitchd.ctl",
                    f"--log-file={self.directory}/vswitchd.log", env=self.environment)
        self.vsctl("add-br", "bench", "--", "set", "bridge", "bench", "datapath_type=netdev",
                   "fail_mode=secure")
        for number, pod in enumerate(scene.pods):
            self.vsctl("add-port", "bench", f"pod{number}", "--", "set", "Interface",
                       f"pod{number}", "type=dpdk", f"ofport_request={number + 1}",
                       f"options:dpdk-devargs={af_xdp(number, pod)}")
        wait_until(scene.has_xdp, self.problem)
        flows = self.directory / "flows"
        flows.write_text(rules.openflow(count, scene))
        self.run("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows",
                 f"unix:{self.directory}/bench.mgmt", str(flows))
        self.run("ovs-appctl", "-t", f"{self.directory}/vswitchd.ctl", "dpctl/ct-set-maxconns",
                 str(CONNECTIONS))

    def version(self):
        return self.run("ovs-vswitchd-dpdk", "--version").stdout.splitlines()[0]

    def problem(self):
        log = self.directory / "vswitchd.log"
        return (log.read_text()[-1500:] if log.exists() else "") + self.scene.log()


class Sluice(Subject):
    name, title, idle = "sluice", "sluice (adaptive)", "adaptive"

    def start(self, count):
        scene, build = self.scene, self.settings["build"]
        policies = scene.directory / "policy.d"
        policies.mkdir()
        (policies / "bench.yaml").write_text(rules.calico(count, scene))
        self.socket = scene.directory / "sluice.sock"
        config = scene.directory / "sluice.yaml"
        config.write_text(json.dumps({
            "node": "node", "resources": ["policy.d"],
            "uplink": {"interface": scene.UPLINK, "addresses": [f"{scene.UPLINK_ADDRESS}/24"]},
            "workers": {"cores": [scene.core], "idle": self.idle},
            # Twice: unanswered flows, as all new ones are here, may have half of it.
            "connections": {"max": 2 * CONNECTIONS, "endpointShare": 1},
            "path": {"onExit": "kernel"},
            "control": {"socket": str(self.socket), "state": str(scene.directory / "state")}}))
        process = scene.start(str(build / "control/sluiced"), "--config", str(config))

        def answers():
            if process.poll() is not None:
                raise Failure("sluiced ended: " + scene.log())
            return self.ctl("status").returncode == 0
        wait_until(answers, lambda: "sluiced: " + scene.log(), 30)

    def ctl(self, *arguments):
        return run(str(self.settings["build"] / "control/sluicectl"), "-s", str(self.socket),
                   *arguments, check=False)

    def version(self):
        return run(str(self.settings["build"] / "control/sluiced"), "--version").stdout.strip()

    def problem(self):
        return self.scene.log() + self.ctl("stats").stdout


class SluicePoll(Sluice):
    name, title, idle = "sluice-poll", "sluice (poll)", "poll"


ALL = {subject.name: subject for subject in
       (Forwarding, Iptables, Nftables, Ovs, Testpmd, Sluice, SluicePoll)}
