# SPDX-License-Identifier: Apache-2.0
"""routes: mode direct, pods of the other node without a tunnel."""
from scene import *


def _plain(packet, src, dst):
    return Ether(src=src, dst=dst) / packet


def both_ways_without_a_tunnel(r):
    question, answer = syn(CLIENT, FAR), syn_ack(FAR, CLIENT)
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(
        UPLINK, _plain(hop(question), NODE_MAC, PEER_MAC))
    r.send(UPLINK, _plain(answer, PEER_MAC, NODE_MAC)).forwarded(
        CLIENT.port, to_pod(CLIENT, hop(answer)))


def whole_1500_bytes(r):
    packet = udp(CLIENT, FAR, data=bytes(1472), flags="DF")
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
        UPLINK, _plain(hop(packet), NODE_MAC, PEER_MAC))


def what_needs_no_tunnel_must_not_use_one(r):
    r.send(UPLINK, from_peer(udp(FAR, CLIENT))).dropped("rpf_tunnel")


def local_pods_do_not_come_from_outside(r):
    r.send(UPLINK, _plain(udp(WEB, CLIENT), PEER_MAC, NODE_MAC)).dropped("rpf_uplink")
