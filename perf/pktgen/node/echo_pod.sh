#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the gateway's echo pod, wired as Calico's CNI plugin wires one, or takes it away.
#   sudo ./echo_pod.sh [down]
set -euo pipefail
case "$#:${1:-}" in
  0: | 1:down) ;;
  *)
    echo "usage: echo_pod.sh [down]" >&2
    [ "${1:-}" = --help ] || [ "${1:-}" = -h ] && exit 0
    exit 2
    ;;
esac
[ "$(id -u)" = 0 ] || { echo "echo_pod.sh: makes a network namespace: run as root" >&2; exit 2; }
cd "$(dirname "$0")"
if [ "${1:-}" = down ]; then
  exec ip netns del sluice-echo
fi
object=$(mktemp --suffix=.o)
made=
end() {
  rm -f "$object"
  [ -z "$made" ] || ip netns del sluice-echo
}
trap end EXIT
clang -O2 -g -Wall -Werror -target bpf -I"/usr/include/$(uname -m)-linux-gnu" \
  -c ../echo.bpf.c -o "$object"
ip netns add sluice-echo
made=yes  # by this run: taken away if it fails
ip link add caliecho type veth peer name eth0 netns sluice-echo
ip link set caliecho address ee:ee:ee:ee:ee:ee up
ip -n sluice-echo addr add 10.244.153.201/32 dev eth0
ip -n sluice-echo link set eth0 up
ip -n sluice-echo route add 169.254.1.1 dev eth0 scope link
ip -n sluice-echo route add default via 169.254.1.1 dev eth0
ip -n sluice-echo link set eth0 xdpdrv obj "$object" sec xdp
made=
