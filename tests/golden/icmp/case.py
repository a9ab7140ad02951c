# SPDX-License-Identifier: Apache-2.0
"""ICMP: queries and their answers, and errors about flows."""
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


def _about(quoted, to, sender, type=3, code=3, mtu=0, bytes_quoted=None):
    """An ICMP error of `sender` to `to` that quotes a packet."""
    return ip(sender, to) / ICMP(type=type, code=code, nexthopmtu=mtu) / Raw(
        bytes(quoted)[:bytes_quoted])


def errors_about_a_flow_reach_its_sender(r):
    """In either direction, whoever asked; with 28 bytes quoted or all; 3, 11 and 12."""
    question, answer = udp(CLIENT, WEB), udp(WEB, CLIENT, 53, 40000)
    _pass(r, CLIENT, WEB, question)
    _pass(r, WEB, CLIENT, _about(question, CLIENT, WEB))
    _pass(r, WEB, CLIENT, answer)
    _pass(r, CLIENT, WEB, _about(answer, WEB, CLIENT))
    for type, code in ((3, 1), (11, 1), (12, 0)):
        _pass(r, WEB, CLIENT, _about(question, CLIENT, WEB, type, code, bytes_quoted=28))
    _pass(r, WEB, CLIENT, _about(question, CLIENT, WEB, 3, 4, mtu=68))
    _pass(r, WEB, CLIENT, _about(question, CLIENT, WEB, 3, 4, mtu=0))


def errors_about_a_ping(r):
    """The quote's type tells which of two mutual pings is meant."""
    there, back = ping(CLIENT, WEB), ping(WEB, CLIENT)
    _pass(r, CLIENT, WEB, there)
    _pass(r, WEB, CLIENT, _about(there, CLIENT, WEB))
    r.send(CLIENT.port, from_pod(CLIENT, _about(back, WEB, CLIENT))).dropped("icmp_unrelated")
    _pass(r, WEB, CLIENT, back)
    _pass(r, CLIENT, WEB, _about(back, WEB, CLIENT))


def errors_from_routers_on_the_way(r):
    """Through the tunnel's other end, and from the world behind the gateway."""
    question = udp(CLIENT, FAR)
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(
        UPLINK, to_peer(hop(question), id=1))
    error = _about(question, CLIENT, "10.244.146.192", 11, 0)
    r.send(UPLINK, from_peer(error)).forwarded(CLIENT.port, to_pod(CLIENT, hop(error)))
    question = udp(CLIENT, WORLD)
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(UPLINK, to_gateway(hop(question)))
    error = _about(question, CLIENT, GATEWAY, 3, 1)
    r.send(UPLINK, from_gateway(error)).forwarded(CLIENT.port, to_pod(CLIENT, hop(error)))


def quotes_that_say_nothing(r):
    """Less than a header and 8 bytes, no IPv4, a later fragment, an error about an error."""
    question = udp(CLIENT, WEB)
    _pass(r, CLIENT, WEB, question)
    later = ip(CLIENT, WEB, proto=17, frag=1) / Raw(bytes(8))
    wrong = [_about(question, CLIENT, WEB, bytes_quoted=n) for n in (0, 19, 27)]
    wrong += [_about(udp(CLIENT, WEB, version=6), CLIENT, WEB),
              _about(udp(CLIENT, WEB, ihl=4), CLIENT, WEB), _about(later, CLIENT, WEB),
              _about(_about(question, CLIENT, WEB), CLIENT, WEB)]
    for packet in wrong:
        r.send(WEB.port, from_pod(WEB, packet)).dropped("icmp_quote")


def errors_about_nothing(r):
    """No flow; another flow's ports; one that has expired."""
    question = udp(CLIENT, WEB)
    _pass(r, CLIENT, WEB, question)
    for quoted in (udp(CLIENT, WEB, dport=54), udp(CLIENT, WEB, sport=1), syn(CLIENT, WEB)):
        r.send(WEB.port, from_pod(WEB, _about(quoted, CLIENT, WEB))).dropped("icmp_unrelated")
    r.wait(31)
    r.send(WEB.port, from_pod(WEB, _about(question, CLIENT, WEB))).dropped("icmp_unrelated")


def errors_that_do_not_fit_the_flow(r):
    """To another than the quoted sender, with an MTU that cannot be, and from a third pod:
    the quoted packet must have travelled towards the side that complains."""
    question = udp(CLIENT, WEB)
    _pass(r, CLIENT, WEB, question)
    wrong = [_about(question, BLUE, WEB), _about(question, CLIENT, WEB, 3, 4, mtu=67)]
    for packet in wrong:
        r.send(WEB.port, from_pod(WEB, packet)).dropped("icmp_quote_mismatch")
    r.send(BLUE.port, from_pod(BLUE, _about(question, CLIENT, BLUE))).dropped(
        "icmp_quote_mismatch")
    r.send(UPLINK, from_gateway(_about(question, CLIENT, WORLD))).dropped("icmp_quote_mismatch")
    # A packet that was never sent.
    answer = udp(WEB, CLIENT, 53, 40000)
    r.send(CLIENT.port, from_pod(CLIENT, _about(answer, WEB, CLIENT))).dropped(
        "icmp_quote_mismatch")


def errors_with_a_wrong_checksum(r):
    question = udp(CLIENT, WEB)
    _pass(r, CLIENT, WEB, question)
    error = ip(WEB, CLIENT) / ICMP(type=3, code=3, chksum=1) / Raw(bytes(question))
    r.send(WEB.port, from_pod(WEB, error)).dropped("l4_checksum")
