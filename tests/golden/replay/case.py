# SPDX-License-Identifier: Apache-2.0
"""The replay itself: clock, order, many frames at once."""
from scene import *


def a_capture_may_begin_at_zero(r):
    """Capture time is the clock, also where it starts: timeouts, ICMP errors."""
    r.time = -10**6
    last = udp(CLIENT, WEB, ttl=1)
    r.send(CLIENT.port, from_pod(CLIENT, last)).dropped("ip4_ttl").emits(
        CLIENT.port, to_pod(CLIENT, icmp_error(CLIENT, 11, 0, last, id=1)))
    r.wait(120)
    r.send(CLIENT.port, from_pod(CLIENT, ack(CLIENT, WEB))).dropped("ct_midflow")


def frames_of_one_time_go_by_the_name_of_their_port(r):
    """caliblue, caliclient, uplink; then by their place in the file."""
    packets = [udp(BLUE, WEB), udp(CLIENT, WEB), udp(CLIENT, WEB, sport=5), udp(FAR, WEB)]
    for src, packet in zip((BLUE, CLIENT, CLIENT, FAR), packets):
        reaches(r, src, WEB, packet)
        r.wait(-0.001)
    # The same to another, sent in the opposite order.
    late = udp(FAR, CLIENT), udp(BLUE, CLIENT)
    onward = [to_pod(CLIENT, hop(packet)) for packet in late]
    uplink = r.send(UPLINK, from_peer(late[0]))
    r.wait(-0.001)
    r.send(BLUE.port, from_pod(BLUE, late[1])).forwarded(CLIENT.port, onward[1])
    uplink.forwarded(CLIENT.port, onward[0])


def a_time_before_the_last_one_is_taken_for_it(r):
    """The clock does not go back: the older frame keeps its place in the file."""
    reaches(r, CLIENT, WEB, udp(CLIENT, WEB))
    before = r.time
    r.time -= 10**9
    packet = udp(CLIENT, WEB, sport=2)
    sent = r.send(CLIENT.port, from_pod(CLIENT, packet))
    r.time = before
    sent.forwarded(WEB.port, to_pod(WEB, hop(packet)))


def icmp_errors_are_rationed(r):
    """Fifty at once, then 1000 a second; who gets none is dropped all the same."""
    for n in range(60):
        r.wait(-0.001)
        last = udp(CLIENT, WEB, ttl=1, sport=n + 1)
        sent = r.send(CLIENT.port, from_pod(CLIENT, last)).dropped("ip4_ttl")
        if n < 50:
            sent.emits(CLIENT.port, to_pod(CLIENT, icmp_error(CLIENT, 11, 0, last, id=n + 1)))
    r.send(CLIENT.port, from_pod(CLIENT, last)).dropped("ip4_ttl").emits(
        CLIENT.port, to_pod(CLIENT, icmp_error(CLIENT, 11, 0, last, id=51)))
