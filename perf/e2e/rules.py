# SPDX-License-Identifier: Apache-2.0
"""One list of policy rules, as Calico's YAML and as each peer says the same.

The list is in ingress policies of the pod "server", 1000 rules in each: `count` rules of which
only the last allows the benchmark's UDP; one more for iperf3's TCP. The others allow UDP from
elsewhere to a port each: every second one from a network of its own, the rest from one of 50 sets
of four networks. No packet matches them. What no rule allows is denied. The pod "client" may send
what it likes.
"""
SETS = 50
PORTS = (20000, 59999)
DENIED_PORT = 7
IPERF_PORT = 5201
A_POLICY = 1000  # rules: sluice takes no more than 1024 in one
ACCEPT, PASS = 0x10000, 0x20000  # Calico's marks


def network(n):
    """One of 16 384 that differ, all of 100.64.0.0/10."""
    return f"100.{64 + n // 256}.{n % 256}.0/24"


def members(s):
    return [f"198.18.{s}.{8 * m}/29" for m in range(4)]


class Miss:
    """A rule that does not match: `network` or, if that is None, the set number `set`."""

    def __init__(self, i):
        self.port = 1024 + i
        self.network = network(i // 2) if i % 2 == 0 else None
        self.set = i // 2 % SETS


def misses(count):
    return [Miss(i) for i in range(count - 1)]


def policies(count):
    """The rules that do not match, by policy; at the end of the last one come those that do."""
    rules = misses(count)
    return [rules[i:i + A_POLICY] for i in range(0, len(rules), A_POLICY)] or [[]]


def used_sets(count):
    return sorted({rule.set for rule in misses(count) if rule.network is None})


def denied_ports(count):
    """To which the client may not send: one that no rule names, and those of the last rules that
    name it with a network and with a set, neither of which has the client."""
    last = misses(count)[-2:]
    return [DENIED_PORT, *(rule.port for rule in last)]


def calico(count, scene):
    """The resources sluiced reads."""
    lines = ["apiVersion: v1\nkind: Namespace\nmetadata: {name: default}"]
    lines.append("apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pool}\n"
                 "spec: {cidr: 10.244.0.0/16, ipipMode: Always}")
    lines.append("apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: node}\n"
                 f"spec: {{bgp: {{ipv4Address: {scene.UPLINK_ADDRESS}/24, "
                 "ipv4IPIPTunnelAddr: 10.244.153.192}}")
    for pod in scene.pods:
        labels = ", ".join(f"{k}: {v}" for k, v in pod.labels.items())
        lines.append(
            "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n"
            f"metadata: {{name: node-k8s-{pod.name}-eth0, namespace: default, "
            f"labels: {{{labels}}}}}\n"
            f"spec: {{node: node, orchestrator: k8s, pod: {pod.name}, endpoint: eth0, "
            f"interfaceName: {pod.interface}, ipNetworks: [{pod.address}/32], "
            "profiles: [kns.default]}")
    for s in used_sets(count):
        lines.append("apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\n"
                     f"metadata: {{name: set{s}, labels: {{set: s{s}}}}}\n"
                     f"spec: {{nets: [{', '.join(members(s))}]}}")
    for number, part in enumerate(policies(count)):
        policy = ["apiVersion: projectcalico.org/v3", "kind: GlobalNetworkPolicy",
                  f"metadata: {{name: bench{number}}}", "spec:", f"  order: {10 + number}",
                  "  selector: role == 'server'", "  types: [Ingress]", "  ingress:"]
        for rule in part:
            source = (f"nets: [{rule.network}]" if rule.network
                      else f"selector: \"set == 's{rule.set}'\"")
            policy.append(f"    - {{action: Allow, protocol: UDP, source: {{{source}}}, "
                          f"destination: {{ports: [{rule.port}]}}}}")
        lines.append("\n".join(policy))
    policy = lines.pop().split("\n")
    for protocol, ports in (("UDP", f"\"{PORTS[0]}:{PORTS[1]}\""), ("TCP", IPERF_PORT)):
        policy.append(f"    - {{action: Allow, protocol: {protocol}, source: {{selector: "
                      f"\"role == 'client'\"}}, destination: {{ports: [{ports}]}}}}")
    lines.append("\n".join(policy))
    return "\n---\n".join(lines) + "\n"


def ipset(count, scene):
    """For `ipset restore`: one set for each selector, as Calico makes them."""
    lines = []
    for s in used_sets(count):
        lines.append(f"create cali40s:set{s} hash:net family inet maxelem 1048576")
        lines += [f"add cali40s:set{s} {member}" for member in members(s)]
    lines.append("create cali40s:client hash:net family inet maxelem 1048576")
    lines.append(f"add cali40s:client {scene.client.address}")
    return "\n".join(lines) + "\n"


def _comment(text):
    return f'-m comment --comment "cali:{text}"'


def _workload_head(chain):
    """What each workload's chain begins with."""
    return [
        f"-A {chain} {_comment('established')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-A {chain} {_comment('invalid')} -m conntrack --ctstate INVALID -j DROP",
        f"-A {chain} {_comment('clear')} -j MARK --set-xmark 0x0/{ACCEPT:#x}",
    ]


def _workload_tail(chain, profile):
    mark = f"-m mark --mark {ACCEPT:#x}/{ACCEPT:#x} -j RETURN"
    return [f"-A {chain} {_comment('profile')} -j {profile}", f"-A {chain} {_comment('ok')} {mark}",
            f"-A {chain} {_comment('none')} -j DROP"]


def _source(rule):
    return (f"-s {rule.network}" if rule.network
            else f"-m set --match-set cali40s:set{rule.set} src")


def iptables(count, scene):
    """For `iptables-restore`: the chains that Calico's felix makes of the policy, filter table."""
    client, server = (pod.interface for pod in scene.pods)
    mark = f"-j MARK --set-xmark {ACCEPT:#x}/{ACCEPT:#x}"
    accepted = f"-m mark --mark {ACCEPT:#x}/{ACCEPT:#x}"
    out = [
        f"-A FORWARD {_comment('forward')} -j cali-FORWARD",
        f"-A FORWARD {_comment('accept')} {accepted} -j ACCEPT",
        f"-A cali-FORWARD {_comment('clear')} -j MARK --set-xmark 0x0/0xe0000",
        f"-A cali-FORWARD {_comment('hep')} -m mark --mark 0x0/{ACCEPT:#x} -j cali-from-hep-forward",
        f"-A cali-FORWARD {_comment('from')} -i cali+ -j cali-from-wl-dispatch",
        f"-A cali-FORWARD {_comment('to')} -o cali+ -j cali-to-wl-dispatch",
        f"-A cali-FORWARD {_comment('to-hep')} -j cali-to-hep-forward",
        f"-A cali-FORWARD {_comment('cidr')} -j cali-cidr-block",
    ]
    for way, side, option in (("from", "fw", "-i"), ("to", "tw", "-o")):
        chain = f"cali-{way}-wl-dispatch"
        out += [f"-A {chain} {_comment(side)} {option} {name} -g cali-{side}-{name}"
                for name in (client, server)]
        out.append(f"-A {chain} {_comment('unknown')} -j DROP")
    for name in (client, server):
        chain = f"cali-fw-{name}"
        out += _workload_head(chain)
        out += [f"-A {chain} {_comment('vxlan')} -p udp -m multiport --dports 4789 -j DROP",
                f"-A {chain} {_comment('ipip')} -p ipencap -j DROP"]
        out += _workload_tail(chain, "cali-pro-kns.default")
    out.append(f"-A cali-pro-kns.default {_comment('allow')} {mark}")
    out.append(f"-A cali-pri-kns.default {_comment('allow')} {mark}")
    out += _workload_head(f"cali-tw-{client}")
    out += _workload_tail(f"cali-tw-{client}", "cali-pri-kns.default")
    chain = f"cali-tw-{server}"
    out += _workload_head(chain) + [
        f"-A {chain} {_comment('tier')} -j MARK --set-xmark 0x0/{PASS:#x}",
    ]
    rules = []
    for number, part in enumerate(policies(count)):
        policy = f"cali-pi-bench{number}"
        out += [f"-A {chain} {_comment('policy')} -m mark --mark 0x0/{PASS:#x} -j {policy}",
                f"-A {chain} {_comment('ok')} {accepted} -j RETURN"]
        matches = [f"-p udp {_source(rule)} -m multiport --dports {rule.port}" for rule in part]
        if number == len(policies(count)) - 1:
            matches += [f"-p {protocol} -m set --match-set cali40s:client src -m multiport "
                        f"--dports {ports}"
                        for protocol, ports in (("udp", f"{PORTS[0]}:{PORTS[1]}"),
                                                ("tcp", IPERF_PORT))]
        for match in matches:  # Felix renders an Allow as two: mark, and return if marked.
            rules += [f"-A {policy} {_comment('rule')} {match} {mark}",
                      f"-A {policy} {_comment('rule')} {accepted} -j RETURN"]
    out.append(f"-A {chain} {_comment('end')} -m mark --mark 0x0/{PASS:#x} -j DROP")
    out += rules
    named = {line.split()[1] for line in out} | {"cali-from-hep-forward", "cali-to-hep-forward",
                                                 "cali-cidr-block"}
    chains = [f":{chain} - [0:0]" for chain in sorted(named - {"FORWARD"})]
    return "\n".join(["*filter", *chains, *out, "COMMIT"]) + "\n"


def nftables(count, scene):
    """For `nft -f`: the same chains, in nftables' own terms: one statement a rule, verdict maps
    for the interfaces, named sets."""
    client, server = (pod.interface for pod in scene.pods)
    sets = [(f"set{s}", members(s)) for s in used_sets(count)]
    out = ["table ip sluice_e2e {"]
    for name, nets in [*sets, ("client", [scene.client.address])]:
        out.append(f"set {name} {{ type ipv4_addr; flags interval; "
                   f"elements = {{ {', '.join(nets)} }} }}")
    mark = f"meta mark set meta mark | {ACCEPT:#x} return"
    accepted = f"meta mark & {ACCEPT:#x} == {ACCEPT:#x}"
    head = ("ct state established,related accept; ct state invalid drop; "
            f"meta mark set meta mark & {0xffffffff ^ ACCEPT:#x}")
    jumps = ""
    for number, part in enumerate(policies(count)):
        out.append(f"chain policy_bench{number} {{")
        out += [f"ip saddr {rule.network or f'@set{rule.set}'} udp dport {rule.port} {mark}"
                for rule in part]
        if number == len(policies(count)) - 1:
            out += [f"ip saddr @client udp dport {PORTS[0]}-{PORTS[1]} {mark}",
                    f"ip saddr @client tcp dport {IPERF_PORT} {mark}"]
        out.append("}")
        jumps += f"jump policy_bench{number}; {accepted} return; "
    out.append(f"chain profile {{ {mark}; }}")
    for name in (client, server):
        out.append(f"chain fw_{name} {{ {head}; udp dport 4789 drop; ip protocol 4 drop; "
                   f"jump profile; {accepted} return; drop; }}")
    out += [f"chain tw_{client} {{ {head}; jump profile; {accepted} return; drop; }}",
            f"chain tw_{server} {{ {head}; {jumps}drop; }}"]
    for way, side, key in (("from", "fw", "iifname"), ("to", "tw", "oifname")):
        out.append(f"chain {way}_wl {{ {key} vmap {{ {client} : goto {side}_{client}, "
                   f"{server} : goto {side}_{server} }}; drop; }}")
    out += ["chain forward { type filter hook forward priority 0; policy accept;",
            "meta mark set meta mark & 0xfff1ffff", 'iifname "cali*" jump from_wl',
            'oifname "cali*" jump to_wl', f"{accepted} accept", "}", "}"]
    return "\n".join(out) + "\n"


def port_masks(first, last):
    """VALUE/MASK pairs that together are the range of ports."""
    found = []
    while first <= last:
        size = first & -first or 65536
        while first + size - 1 > last:
            size //= 2
        found.append(f"{first:#x}/{65536 - size:#x}")
        first += size
    return found


def openflow(count, scene):
    """For `ovs-ofctl add-flows`: connections first, then one flow for each network of each rule."""
    client, server = scene.pods

    def to(pod, port):
        return f"mod_dl_src:ee:ee:ee:ee:ee:ee,mod_dl_dst:{pod.mac},dec_ttl,output:{port}"

    out = ["table=0,priority=10,ip,ct_state=-trk actions=ct(table=1)",
           "table=1,priority=20,ip,ct_state=+trk+inv actions=drop",
           "table=1,priority=5,ip,ct_state=+trk+new,in_port=2 "
           f"actions=ct(commit),{to(client, 1)}",
           f"table=1,priority=5,ip,ct_state=+trk+new,in_port=1,nw_src={client.address},"
           f"nw_dst={server.address} actions=goto_table:2"]
    for state in ("est", "rel"):
        for pod, port in ((client, 1), (server, 2)):
            out.append(f"table=1,priority=10,ip,ct_state=+trk+{state},nw_dst={pod.address} "
                       f"actions={to(pod, port)}")
    action = f"actions=ct(commit),{to(server, 2)}"
    for rule in misses(count):
        for source in [rule.network] if rule.network else members(rule.set):
            out.append(f"table=2,priority=10,udp,nw_src={source},tp_dst={rule.port} {action}")
    for masked in port_masks(*PORTS):
        out.append(f"table=2,priority=10,udp,nw_src={client.address},tp_dst={masked} {action}")
    out.append(f"table=2,priority=10,tcp,nw_src={client.address},tp_dst={IPERF_PORT} {action}")
    return "\n".join(out) + "\n"
