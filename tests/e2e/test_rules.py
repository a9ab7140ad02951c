# SPDX-License-Identifier: Apache-2.0
"""perf/e2e/rules.py: every rendering holds the same rules, and nothing is in it twice.

A rule is a pair (sources, port), sources a frozenset of networks; each rendering is read back into
a list of them.
"""
import ipaddress
import re

import pytest
import yaml

import rules
from scene import Pod

COUNTS = (1, 2, 3, 100, 1000, 1001, 10_000)


class Scene:
    UPLINK_ADDRESS = "192.168.100.111"
    client = Pod("client", "10.244.153.204", {"role": "client"})
    server = Pod("server", "10.244.153.201", {"role": "server"})
    pods = (client, server)


SCENE = Scene()
SCENE.client.mac, SCENE.server.mac = "02:00:00:00:00:01", "02:00:00:00:00:02"
CLIENT = ipaddress.ip_address(SCENE.client.address)


def expected(count):
    return [(frozenset([rule.network] if rule.network else rules.members(rule.set)), rule.port)
            for rule in rules.misses(count)]


def from_calico(count):
    resources = list(yaml.load_all(rules.calico(count, SCENE), Loader=yaml.CSafeLoader))
    sets = {r["metadata"]["labels"]["set"]: r["spec"]["nets"]
            for r in resources if r["kind"] == "GlobalNetworkSet"}
    found = []
    for policy in (r for r in resources if r["kind"] == "GlobalNetworkPolicy"):
        assert len(policy["spec"]["ingress"]) <= 1024  # sluice takes no more
        for rule in policy["spec"]["ingress"]:
            source, (port,) = rule["source"], rule["destination"]["ports"]
            if "client" not in source.get("selector", ""):
                nets = source.get("nets") or sets[source["selector"].split("'")[1]]
                assert (rule["action"], rule["protocol"]) == ("Allow", "UDP")
                found.append((frozenset(nets), port))
    return found


def from_iptables(count):
    sets = {}
    for name, network in re.findall(r"^add cali40s:(\S+) (\S+)$", rules.ipset(count, SCENE), re.M):
        sets.setdefault(name, []).append(network)
    text = rules.iptables(count, SCENE)
    found = []
    for network, name, port in re.findall(
            r"-p udp (?:-s (\S+)|-m set --match-set cali40s:(\S+) src) -m multiport "
            r"--dports (\S+) -j MARK", text):
        if name != "client":
            found.append((frozenset([network] if network else sets[name]), int(port)))
    return found


def from_nftables(count):
    text = rules.nftables(count, SCENE)
    sets = {name: nets.split(", ") for name, nets in
            re.findall(r"^set (\S+) .* elements = { (.*) } }$", text, re.M)}
    return [(frozenset(sets[source[1:]] if source[0] == "@" else [source]), int(port))
            for source, port in re.findall(r"^ip saddr (\S+) udp dport (\d+) meta", text, re.M)]


def from_openflow(count):
    found = {}
    flows = rules.openflow(count, SCENE)
    for network, port in re.findall(r"udp,nw_src=(\S+),tp_dst=(\d+) ", flows):
        if network != SCENE.client.address:
            found.setdefault(int(port), set()).add(network)
    return [(frozenset(networks), port) for port, networks in found.items()]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("read", [from_calico, from_iptables, from_nftables, from_openflow])
def test_renderings_hold_the_same_rules(read, count):
    assert read(count) == expected(count)
    assert len(expected(count)) == count - 1  # the last one allows


@pytest.mark.parametrize("count", COUNTS)
def test_no_network_and_no_port_is_there_twice(count):
    misses = rules.misses(count)
    networks = [rule.network for rule in misses if rule.network]
    assert len(networks) == len(set(networks)) == count // 2
    assert len({rule.port for rule in misses}) == len(misses)
    for network in networks:
        ipaddress.ip_network(network)


def test_all_sets_are_used():
    assert rules.used_sets(101) == list(range(rules.SETS))
    members = [m for s in range(rules.SETS) for m in rules.members(s)]
    assert len(members) == len(set(members)) == 4 * rules.SETS


def test_no_rule_matches_the_client_or_the_traffic():
    for sources, port in expected(10_000):
        assert not rules.PORTS[0] <= port <= rules.PORTS[1]
        assert not any(CLIENT in ipaddress.ip_network(source) for source in sources)


@pytest.mark.parametrize("count", COUNTS)
def test_denied_ports_are_of_both_kinds(count):
    nameless, *named = rules.denied_ports(count)
    by_port = {rule.port: rule for rule in rules.misses(count)}
    assert nameless not in by_port and len(named) == min(count - 1, 2)
    if count > 2:
        assert len([port for port in named if by_port[port].network]) == 1


def test_port_masks_are_the_range():
    found = []
    for masked in rules.port_masks(*rules.PORTS):
        value, mask = (int(part, 16) for part in masked.split("/"))
        found += [port for port in range(65536) if port & mask == value]
    assert sorted(found) == list(range(rules.PORTS[0], rules.PORTS[1] + 1))
