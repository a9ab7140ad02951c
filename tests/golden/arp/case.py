# SPDX-License-Identifier: Apache-2.0
"""ARP: every pod port answers for all but the pod; the uplink is the node's."""
from scene import *

NEIGHBOUR, NEIGHBOUR_MAC = "192.168.100.50", "02:00:00:00:00:32"


def _ask(pod, target, **fields):
    return Ether(src=pod.mac, dst=BROADCAST) / arp(1, pod.mac, pod.ip, target, **fields)


def a_pods_gateway_is_ee(r):
    """169.254.1.1 and every other address are at ee:ee:ee:ee:ee:ee."""
    for target in ("169.254.1.1", WEB.ip, WORLD):
        answer = to_pod(CLIENT, arp(2, PROXY, target, CLIENT.ip, CLIENT.mac))
        r.send(CLIENT.port, _ask(CLIENT, target)).consumed().emits(CLIENT.port, answer)
    padded = bytes(_ask(CLIENT, WORLD)) + bytes(18)
    r.send(CLIENT.port, padded).consumed().emits(CLIENT.port, answer)


def what_needs_no_answer(r):
    """Gratuitous, a probe for a duplicate (RFC 5227), an answer."""
    r.send(CLIENT.port, _ask(CLIENT, CLIENT.ip)).consumed()
    probe = Ether(src=CLIENT.mac, dst=BROADCAST) / arp(1, CLIENT.mac, "0.0.0.0", CLIENT.ip)
    r.send(CLIENT.port, probe).consumed()
    r.send(CLIENT.port, Ether(src=CLIENT.mac, dst=PROXY)
           / arp(2, CLIENT.mac, CLIENT.ip, "169.254.1.1", PROXY)).consumed()


def what_is_no_arp(r):
    gateway = "169.254.1.1"
    wrong = [_ask(CLIENT, gateway, hwtype=6), _ask(CLIENT, gateway, ptype=0x86DD),
             _ask(CLIENT, gateway, hwlen=8), _ask(CLIENT, gateway, plen=16)]
    for op in (0, 3, 4):
        wrong.append(Ether(src=CLIENT.mac, dst=PROXY) / arp(op, CLIENT.mac, CLIENT.ip, gateway))
    # The sender is not who sent the frame, nobody, a group, or has another's address.
    wrong.append(Ether(src=CLIENT.mac, dst=BROADCAST) / arp(1, WEB.mac, CLIENT.ip, gateway))
    wrong.append(Ether(src=CLIENT.mac, dst=BROADCAST) / arp(1, CLIENT.mac, WEB.ip, gateway))
    wrong.append(bytes(_ask(CLIENT, gateway))[:-1])
    for frame in wrong:
        r.send(CLIENT.port, frame).dropped("arp_invalid")


def the_uplink_answers_for_the_node_alone(r):
    for target in (NODE, TUNNEL):
        ask = Ether(src=PEER_MAC, dst=BROADCAST) / arp(1, PEER_MAC, PEER, target)
        r.send(UPLINK, ask).consumed().emits(
            UPLINK, Ether(src=NODE_MAC, dst=PEER_MAC) / arp(2, NODE_MAC, target, PEER, PEER_MAC))
    for target in (NEIGHBOUR, CLIENT.ip):
        ask = Ether(src=PEER_MAC, dst=BROADCAST) / arp(1, PEER_MAC, PEER, target)
        r.send(UPLINK, ask).consumed()


def _our_question(target=NEIGHBOUR):
    return Ether(src=NODE_MAC, dst=BROADCAST) / arp(1, NODE_MAC, NODE, target)


def _their_answer():
    return Ether(src=NEIGHBOUR_MAC, dst=NODE_MAC) / arp(
        2, NEIGHBOUR_MAC, NEIGHBOUR, NODE, NODE_MAC)


def _to_neighbour(packet):
    return Ether(src=NODE_MAC, dst=NEIGHBOUR_MAC) / hop(packet)


def packets_wait_for_their_neighbour(r):
    """One question for all of them; they leave in order when it is answered, later ones at once."""
    first, second, third = (udp(CLIENT, NEIGHBOUR, dport=n) for n in (1, 2, 3))
    one = r.send(CLIENT.port, from_pod(CLIENT, first)).emits(UPLINK, _our_question())
    two = r.send(CLIENT.port, from_pod(CLIENT, second))
    answer = r.send(UPLINK, _their_answer()).consumed()
    answer.releases(one, UPLINK, _to_neighbour(first))
    answer.releases(two, UPLINK, _to_neighbour(second))
    r.send(CLIENT.port, from_pod(CLIENT, third)).forwarded(UPLINK, _to_neighbour(third))


def at_most_three_wait_for_one_neighbour(r):
    """What still waits at the end of the input stays held."""
    for n in range(3):
        sent = r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, NEIGHBOUR, dport=n + 1))).held()
        if n == 0:
            sent.emits(UPLINK, _our_question())
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, NEIGHBOUR, dport=4))).dropped(
        "neigh_unresolved")


def they_wait_for_a_second(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, NEIGHBOUR))).dropped(
        "neigh_unresolved").emits(UPLINK, _our_question())
    r.wait(1.1)
    packet = udp(CLIENT, WEB)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def who_asks_us_is_known(r):
    """The sender of a question on our link need not be asked for."""
    ask = Ether(src=NEIGHBOUR_MAC, dst=BROADCAST) / arp(1, NEIGHBOUR_MAC, NEIGHBOUR, NODE)
    r.send(UPLINK, ask).consumed().emits(UPLINK, Ether(src=NODE_MAC, dst=NEIGHBOUR_MAC)
                                         / arp(2, NODE_MAC, NODE, NEIGHBOUR, NEIGHBOUR_MAC))
    packet = udp(CLIENT, NEIGHBOUR)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(UPLINK, _to_neighbour(packet))


def the_host_port_answers_for_all_but_the_node(r):
    """The node's kernel finds its pods there."""
    ask = Ether(src=KERNEL_MAC, dst=BROADCAST) / arp(1, KERNEL_MAC, NODE, CLIENT.ip)
    r.send(HOST, ask).consumed().emits(
        HOST, to_host(arp(2, HOST_MAC, CLIENT.ip, NODE, KERNEL_MAC)))
    ask = Ether(src=KERNEL_MAC, dst=BROADCAST) / arp(1, KERNEL_MAC, NODE, TUNNEL)
    r.send(HOST, ask).consumed()
