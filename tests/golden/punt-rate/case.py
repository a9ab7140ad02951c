# SPDX-License-Identifier: Apache-2.0
"""How much of what it has not asked for reaches the node (reliability 7)."""
from scene import *

AT_ONCE = 64


def _exhaust(r):
    for n in range(AT_ONCE):
        packet = udp(CLIENT, NODE, sport=1000 + n)
        r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))


def new_flows_to_the_node(r):
    """The 65th is too many; a second later there is room for one, whoever sends it."""
    _exhaust(r)
    for src in (CLIENT, WEB):
        r.send(src.port, from_pod(src, udp(src, NODE))).dropped("res_punt_rate")
    tunnelled = udp(FAR, TUNNEL)
    r.send(UPLINK, from_peer(tunnelled)).dropped("res_punt_rate")
    r.wait(1)
    r.send(UPLINK, from_peer(tunnelled)).punted(to_host(tunnelled))
    r.send(WEB.port, from_pod(WEB, udp(WEB, NODE))).dropped("res_punt_rate")


def what_the_node_has_not_answered_yet(r):
    """The packets of one flow count one by one until then, and not any more afterwards."""
    packet = udp(CLIENT, NODE, sport=1000, dport=53)
    answer = udp(NODE, CLIENT, sport=53, dport=1000)
    for _ in range(AT_ONCE):
        r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))
    r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("res_punt_rate")
    r.send(HOST, from_host(answer)).forwarded(CLIENT.port, to_pod(CLIENT, answer))
    for _ in range(AT_ONCE):
        r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))


def answers_to_the_node(r):
    """What a kubelet asks for is never too much."""
    _exhaust(r)
    probe, answer = syn(NODE, WEB), syn_ack(WEB, NODE)
    r.send(HOST, from_host(probe)).forwarded(WEB.port, to_pod(WEB, probe))
    r.send(WEB.port, from_pod(WEB, answer)).punted(to_host(answer))


def what_is_not_for_the_node(r):
    _exhaust(r)
    packet = udp(CLIENT, WEB)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def questions_by_arp(r):
    """Those that get an answer; what is only learnt from does not count."""
    ask = lambda target: Ether(src=CLIENT.mac, dst=BROADCAST) / arp(1, CLIENT.mac, CLIENT.ip, target)
    answer = to_pod(CLIENT, arp(2, PROXY, "169.254.1.1", CLIENT.ip, CLIENT.mac))
    for _ in range(AT_ONCE):
        r.send(CLIENT.port, ask("169.254.1.1")).consumed().emits(CLIENT.port, answer)
    r.send(CLIENT.port, ask("169.254.1.1")).dropped("res_punt_rate")
    r.send(CLIENT.port, ask(CLIENT.ip)).consumed()
    packet = udp(CLIENT, NODE)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))
    r.wait(1)
    r.send(CLIENT.port, ask("169.254.1.1")).consumed().emits(CLIENT.port, answer)
