# SPDX-License-Identifier: Apache-2.0
"""path.l4Checksum: full: every packet's, also of an established connection."""
from scene import *


def also_later_packets(r):
    packet = udp(CLIENT, WEB)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))
    wrong = ip(CLIENT, WEB) / UDP(sport=40000, dport=53, chksum=1) / b"question"
    r.send(CLIENT.port, from_pod(CLIENT, wrong)).dropped("l4_checksum")
    none = ip(CLIENT, WEB) / UDP(sport=40000, dport=53, chksum=0) / b"question"
    r.send(CLIENT.port, from_pod(CLIENT, none)).forwarded(WEB.port, to_pod(WEB, hop(none)))
