# SPDX-License-Identifier: Apache-2.0
"""ICMP queries and their answers."""
from scene import *


def _pass(r, src, dst, packet):
    r.send(src.port, from_pod(src, packet)).forwarded(dst.port, to_pod(dst, hop(packet)))


def mutual_pings_with_one_identifier(r):
    """Who asks is part of the flow: two pods that ping each other do not meet in one entry."""
    _pass(r, CLIENT, WEB, ping(CLIENT, WEB))
    _pass(r, WEB, CLIENT, ping(WEB, CLIENT))
    _pass(r, WEB, CLIENT, ping(WEB, CLIENT, type=0))
    _pass(r, CLIENT, WEB, ping(CLIENT, WEB, type=0))


def echo_and_timestamp_are_flows_of_their_own(r):
    _pass(r, CLIENT, WEB, ping(CLIENT, WEB))
    r.send(WEB.port, from_pod(WEB, ping(WEB, CLIENT, type=14))).dropped("icmp_unsolicited")
    _pass(r, CLIENT, WEB, ping(CLIENT, WEB, type=13))
    _pass(r, WEB, CLIENT, ping(WEB, CLIENT, type=14))


def an_answer_from_the_side_that_asked(r):
    _pass(r, CLIENT, WEB, ping(CLIENT, WEB))
    r.send(CLIENT.port, from_pod(CLIENT, ping(CLIENT, WEB, type=0))).dropped("icmp_unsolicited")
    _pass(r, WEB, CLIENT, ping(WEB, CLIENT, type=0))
