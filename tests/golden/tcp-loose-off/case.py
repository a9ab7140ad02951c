# SPDX-License-Identifier: Apache-2.0
"""path.tcpLoose: off: no connection is picked up in mid-stream, from the start on."""
from scene import *


def no_pickup(r):
    r.send(CLIENT.port, from_pod(CLIENT, ack(CLIENT, WEB))).dropped("ct_midflow")
    packet = syn(CLIENT, WEB)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))
