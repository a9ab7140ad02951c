# SPDX-License-Identifier: Apache-2.0
"""The node's own kernel, through the host port."""
from scene import *


def the_node_reaches_its_pods_unjudged(r):
    """As a kubelet's probe: no policy, and the TTL is the node's own.  The answer returns."""
    probe, answer = syn(NODE, WEB), syn_ack(WEB, NODE)
    r.send(HOST, from_host(probe)).forwarded(WEB.port, to_pod(WEB, probe))
    r.send(WEB.port, from_pod(WEB, answer)).punted(to_host(answer))
    r.rules()


def pods_reach_the_node(r):
    """Egress policy only; the frame is as the pod sent it but for its MACs."""
    for packet in (syn(CLIENT, NODE, dport=10250), udp(CLIENT, TUNNEL), ping(CLIENT, NODE)):
        r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))
    last = udp(CLIENT, NODE, ttl=1, sport=1)
    r.send(CLIENT.port, from_pod(CLIENT, last)).punted(to_host(last))


def the_node_has_no_pods_address(r):
    r.send(HOST, from_host(udp(CLIENT, WEB))).dropped("rpf_uplink")


def what_the_uplink_has_for_the_node(r):
    packet = ping(PEER, NODE)
    r.send(UPLINK, Ether(src=PEER_MAC, dst=NODE_MAC) / packet).punted(to_host(packet))
    tunnelled = udp(FAR, TUNNEL)
    r.send(UPLINK, from_peer(tunnelled)).punted(to_host(tunnelled))


def the_answer_to_the_node_may_come_back_as_it_went(r):
    """What a replay writes for the host is a frame that the host port takes."""
    packet = ping(CLIENT, NODE)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))
    answer = ping(NODE, CLIENT, type=0)
    r.send(HOST, Ether(src=KERNEL_MAC, dst=HOST_MAC) / answer).forwarded(
        CLIENT.port, to_pod(CLIENT, answer))
