# SPDX-License-Identifier: Apache-2.0
"""Pods of one node: routing, checksums, who may send as whom."""
from scene import *


def pod_to_pod(r):
    """A TTL less, the MACs of the last hop; the answer goes back without being judged."""
    question, answer = syn(CLIENT, WEB), syn_ack(WEB, CLIENT)
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(WEB.port, to_pod(WEB, hop(question)))
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(
        CLIENT.port, to_pod(CLIENT, hop(answer)))


def another_pods_address(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(WEB, BLUE))).dropped("rpf_workload")
