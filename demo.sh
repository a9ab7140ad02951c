#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two nodes and three pods in network namespaces, one sluiced a node, IPIP between them: who
# reaches whom before and after a Calico policy and a Kubernetes deny-all are applied by SIGHUP.
# Installs and builds what is missing, leaves nothing behind.
#   sudo ./demo.sh
set -euo pipefail
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || { echo "demo.sh: must run as root (namespaces, AF_XDP)" >&2; exit 2; }

umask 022 # sluiced refuses files that others may write
./.ci/packages
[ -f build/build.ninja ] || meson setup build >/dev/null
ninja -C build --quiet control/sluiced control/sluicectl
bin=$PWD/build/control

net=sluice-demo-$$
dir=$(mktemp -d /tmp/sluice-demo.XXXXXX)
pids=()
namespaces=()
checks=0
failures=0

cleanup() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  for pid in "${pids[@]}"; do
    wait "$pid" 2>/dev/null || true
  done
  for ns in "${namespaces[@]}"; do
    ip netns del "$net-$ns" 2>/dev/null || true
  done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
in_ns() { ip netns exec "$net-$1" "${@:2}"; }
namespace() {
  ip netns add "$net-$1"
  namespaces+=("$1")
  ip -n "$net-$1" link set lo up
}
check() {  # check TEXT COMMAND...
  checks=$((checks + 1))
  if "${@:2}"; then
    echo "  ok    $1"
  else
    failures=$((failures + 1))
    echo "  WRONG $1"
  fi
}

# pod NAMESPACE NODE INTERFACE ADDRESS: as Calico's CNI plugin wires one.
pod() {
  namespace "$1"
  ip -n "$net-$2" link add "$3" type veth peer name eth0 netns "$net-$1"
  ip -n "$net-$2" link set "$3" address ee:ee:ee:ee:ee:ee up
  ip -n "$net-$1" addr add "$4/32" dev eth0
  ip -n "$net-$1" link set eth0 up
  ip -n "$net-$1" route add 169.254.1.1 dev eth0 scope link
  ip -n "$net-$1" route add default via 169.254.1.1 dev eth0
}

endpoint() {  # endpoint NODE POD INTERFACE ADDRESS LABEL
  cat <<YAML
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: $1-k8s-$2-eth0, namespace: default, labels: {$5}}
spec: {node: $1, orchestrator: k8s, pod: $2, endpoint: eth0, interfaceName: $3, ipNetworks: [$4/32], profiles: [kns.default]}
YAML
}

node_resources() {  # NAME ADDRESS TUNNEL BLOCK
  cat <<YAML
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: $1}
spec: {bgp: {ipv4Address: $2/24, ipv4IPIPTunnelAddr: $3}}
---
apiVersion: projectcalico.org/v3
kind: BlockAffinity
metadata: {name: $1-block}
spec: {cidr: $4, node: $1, state: confirmed}
YAML
}

settings() {  # NODE ADDRESS
  cat <<YAML
node: $1
resources: [policy.d]
uplink: {interface: ens10, addresses: [$2/24]}
workers: {cores: [0], idle: adaptive}
connections: {max: 65536}
path: {onExit: kernel}
control: {socket: $dir/$1.sock}
YAML
}

ctl() { "$bin/sluicectl" -s "$dir/$1.sock" "${@:2}"; }

declare -A address=([pod1]=10.244.153.204 [nginx1]=10.244.153.201 [nginx2]=10.244.146.205)
pods=(pod1 nginx1 nginx2)

reach_tcp() { in_ns "$1" timeout 1 bash -c "exec 3<>/dev/tcp/${address[$2]}/$3" 2>/dev/null; }
reach_ping() { in_ns "$1" ping -c 1 -W 1 "${address[$2]}" >/dev/null 2>&1; }

matrix() {
  local from to answer
  printf '  %-8s' from
  for to in "${pods[@]}"; do printf '%-24s' "to $to"; done
  echo
  for from in "${pods[@]}"; do
    printf '  %-8s' "$from"
    for to in "${pods[@]}"; do
      answer=-
      if [ "$from" != "$to" ]; then
        answer="ping $(reach_ping "$from" "$to" && echo yes || echo no), tcp/80 $(
          reach_tcp "$from" "$to" 80 && echo yes || echo no)"
      fi
      printf '%-24s' "$answer"
    done
    echo
  done
}

wait_ready() {
  for _ in $(seq 100); do
    ctl "$1" status >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  cat "$dir/$1.log" >&2
  return 1
}

say "Two nodes, three pods, IPIP between the nodes"
namespace node111
namespace node112
namespace wire # a switch between the nodes, where tcpdump sees what neither node's kernel does
ip -n "$net-wire" link add switch type bridge
ip -n "$net-wire" link set switch up
for n in 111 112; do
  ip -n "$net-wire" link add "port$n" type veth peer name ens10 netns "$net-node$n"
  ip -n "$net-wire" link set "port$n" master switch up
  ip -n "$net-node$n" addr add "192.168.100.$n/24" dev ens10
  ip -n "$net-node$n" link set ens10 up
done
pod pod1 node111 calipod1 "${address[pod1]}"
pod nginx1 node111 calinginx1 "${address[nginx1]}"
pod nginx2 node112 calinginx2 "${address[nginx2]}"

mkdir -p "$dir/node111/policy.d" "$dir/node112/policy.d"
{
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n'
  printf -- '---\napiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pool}\n'
  printf 'spec: {cidr: 10.244.0.0/16, ipipMode: Always}\n'
  node_resources node111 192.168.100.111 10.244.153.192 10.244.153.192/26
  node_resources node112 192.168.100.112 10.244.146.192 10.244.146.192/26
  endpoint node111 pod1 calipod1 "${address[pod1]}" "role: pod1"
  endpoint node111 nginx1 calinginx1 "${address[nginx1]}" "app: nginx"
  endpoint node112 nginx2 calinginx2 "${address[nginx2]}" "app: nginx"
} >"$dir/cluster.yaml"
for n in 111 112; do
  settings "node$n" "192.168.100.$n" >"$dir/node$n/sluice.yaml"
  cp "$dir/cluster.yaml" "$dir/node$n/policy.d/"
  ip netns exec "$net-node$n" "$bin/sluiced" --config "$dir/node$n/sluice.yaml" \
    >"$dir/node$n.log" 2>&1 &
  pids+=($!)
done
wait_ready node111
wait_ready node112
for p in "${pods[@]}"; do
  ip netns exec "$net-$p" python3 -m http.server 80 --directory "$dir/node111" \
    >/dev/null 2>&1 &
  pids+=($!)
done
sleep 1
ip netns exec "$net-wire" timeout 60 tcpdump -i port111 -n -U -w "$dir/uplink.pcap" proto 4 >/dev/null 2>&1 &
pids+=($!)
sleep 0.5

say "Before: no policy, so the namespace's profile allows"
matrix
for from in "${pods[@]}"; do
  for to in "${pods[@]}"; do
    [ "$from" = "$to" ] || check "$from reaches $to" reach_tcp "$from" "$to" 80
  done
done

say "SIGHUP: only role == 'pod1' may reach app == 'nginx' on TCP 80; Kubernetes denies the rest"
for n in 111 112; do
  cat >"$dir/node$n/policy.d/policy.yaml" <<'YAML'
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: allow-pod1, namespace: default}
spec:
  order: 10
  selector: app == 'nginx'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {selector: role == 'pod1'}
      destination: {ports: [80]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress]}
YAML
done
kill -HUP "${pids[0]}" "${pids[1]}"
for n in node111 node112; do
  for _ in $(seq 50); do
    ctl "$n" -o json get policies | grep -q deny-all && break
    sleep 0.1
  done
done
matrix
check "pod1 reaches nginx1 on 80" reach_tcp pod1 nginx1 80
check "pod1 reaches nginx2 on 80, through the tunnel" reach_tcp pod1 nginx2 80
for pair in "nginx1 nginx2" "nginx2 nginx1" "nginx1 pod1" "nginx2 pod1"; do
  read -r from to <<<"$pair"
  check "$from does not reach $to" bash -c "! timeout 1 ip netns exec $net-$from bash -c \
    'exec 3<>/dev/tcp/${address[$to]}/80' 2>/dev/null"
done
check "pod1 cannot ping nginx2" bash -c \
  "! ip netns exec $net-pod1 ping -c 1 -W 1 ${address[nginx2]} >/dev/null 2>&1"

say "Rules that counted on node112"
ctl node112 stats rules
say "Drops on node112, by reason"
ctl node112 stats drops

say "explain gives the same answers"
explain() {  # NODE FROM TO EXPECTED
  local answer
  answer=$(echo "{\"src\": \"${address[$2]}\", \"dst\": \"${address[$3]}\", \"proto\": \"tcp\", \"sport\": 40000, \"dport\": 80}" |
    "$bin/sluicectl" explain --config "$dir/$1/sluice.yaml" --packets - -o json 2>/dev/null)
  [[ $answer == *"\"verdict\":\"$4\""* ]]
}
check "pod1 -> nginx2 tcp/80 is allowed, says node112" explain node112 pod1 nginx2 allow
check "pod1 -> nginx1 tcp/80 is allowed, says node111" explain node111 pod1 nginx1 allow
check "nginx1 -> nginx2 tcp/80 is denied, says node112" explain node112 nginx1 nginx2 deny
check "nginx2 -> pod1 tcp/80 is denied, says node111" explain node111 nginx2 pod1 deny

say "Between the nodes: plain IPIP"
sleep 0.5
tcpdump -r "$dir/uplink.pcap" -n 2>/dev/null | sed -n '1,3p' | sed 's/^/  /'
check "outer 192.168.100.111 > 192.168.100.112, inner pod to pod" bash -c \
  "tcpdump -r '$dir/uplink.pcap' -n 2>/dev/null |
   grep -q '192.168.100.111 > 192.168.100.112: IP ${address[pod1]}.* > ${address[nginx2]}'"

say "demo: $((checks - failures)) of $checks checks passed"
[ "$failures" = 0 ]
