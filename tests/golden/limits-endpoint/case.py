# SPDX-License-Identifier: Apache-2.0
"""One endpoint opens no more connections than its share of the table (reliability 3)."""
from scene import *


def _exchange(r, src, n):
    question = udp(src, WEB, sport=1000 + n)
    answer = udp(WEB, src, 53, 1000 + n)
    r.send(src.port, from_pod(src, question)).forwarded(WEB.port, to_pod(WEB, hop(question)))
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(src.port, to_pod(src, hop(answer)))


def an_endpoint_has_its_share_and_no_other_suffers(r):
    for n in range(256):
        _exchange(r, CLIENT, n)
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, WEB, sport=999))).dropped(
        "ct_endpoint_limit")
    _exchange(r, CLIENT, 7)  # what it has goes on
    r.send(CLIENT.port, from_pod(CLIENT, ping(CLIENT, WEB))).dropped("ct_endpoint_limit")
    outside = udp(FAR, WEB)
    r.send(*sent_by(FAR, outside)).forwarded(WEB.port, to_pod(WEB, hop(outside)))
