#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An IPIP node that is not sluice: the kernel's own pods behind a TUN device.

  peer.py TUN-NAME OWN-ADDRESS OTHER-NODE [SEED]
What the kernel routes into the device leaves in IPIP for the other node; what comes in IPIP
from that node goes to the kernel through the device.  With SEED some packets of each way are
lost, and some overtaken by the next.
"""
import fcntl
import os
import random
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2


class Way:
    """One direction: packets go on to `send`, in order unless there is a dice."""

    def __init__(self, send, dice):
        self.send, self.dice, self.late = send, dice, []

    def pass_on(self, packet):
        luck = self.dice.random() if self.dice else 1
        if luck < 0.02:
            return
        if luck < 0.07:
            self.late.append(packet)
            return
        for each in [packet, *self.late]:
            self.send(each)
        self.late.clear()


def main(name, own, other, seed=None):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
    raw.bind((own, 0))
    raw.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    dice = random.Random(seed) if seed else None

    def send(packet):
        try:
            raw.sendto(packet, (other, 0))
        except OSError as error:
            print(f"to {other}: {error}", flush=True)
    outward, inward = Way(send, dice), Way(lambda packet: os.write(tun, packet), dice)
    print("ready", flush=True)
    while True:
        for ready in select.select([tun, raw], [], [])[0]:
            if ready is raw:
                packet, sender = raw.recvfrom(65536)
                header = (packet[0] & 15) * 4
                if sender[0] == other:
                    inward.pass_on(packet[header:])
            else:
                outward.pass_on(os.read(tun, 65536))


if __name__ == "__main__":
    main(*sys.argv[1:])
