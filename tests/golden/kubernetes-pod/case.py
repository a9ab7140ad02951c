# SPDX-License-Identifier: Apache-2.0
"""A pod known from Kubernetes only: Calico's name for its interface, and no MAC."""
import hashlib

from scene import *

NAME = "cali" + hashlib.sha1(b"shop.extra").hexdigest()[:11]
# The replay gives it one by its port: 0 uplink, 1 host, then the interfaces by name.
EXTRA = Pod(NAME, "10.244.153.210", "02:51:1c:00:00:03")


def it_is_reached_and_answers(r):
    reaches(r, CLIENT, EXTRA, syn(CLIENT, EXTRA))
    reaches(r, EXTRA, CLIENT, syn_ack(EXTRA, CLIENT))


def its_own_mac_is_learnt(r):
    mac = "02:00:00:00:09:09"
    ask = Ether(src=mac, dst=BROADCAST) / arp(1, mac, EXTRA.ip, "169.254.1.1")
    r.send(NAME, ask).consumed().emits(
        NAME, Ether(src=PROXY, dst=mac) / arp(2, PROXY, "169.254.1.1", EXTRA.ip, mac))
    reaches(r, CLIENT, EXTRA._replace(mac=mac), syn(CLIENT, EXTRA))
