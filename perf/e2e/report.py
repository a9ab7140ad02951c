# SPDX-License-Identifier: Apache-2.0
"""Medians of samples as tables, JSON and a plot; and what the goals say of them."""
import statistics

from subjects import ALL

SIZES = (64, 512, 1518)
PERCENTILES = ("p50", "p99", "p99.9")
LEAST_DIFFERENCE = 0.05  # of an established packet's time: less is none
NO_DIFFERENCE = "no difference to an established packet could be measured"


class Results:
    """Medians by (subject, what, rules, frame)."""

    def __init__(self, samples):
        self.runs = {}
        for s in samples:
            self.runs.setdefault((s.subject, s.what, s.rules, s.frame), []).append(s.value)

    def get(self, subject, what, rules, frame=64):
        found = self.runs.get((subject, what, rules, frame))
        return statistics.median(found) if found else None

    def spread(self, subject, what, rules, frame=64):
        found = self.runs[subject, what, rules, frame]
        return max(found) - min(found)

    def as_json(self):
        return [{"subject": subject, "what": what, "rules": rules, "frame": frame,
                 "median": statistics.median(values), "runs": values}
                for (subject, what, rules, frame), values in sorted(self.runs.items())]

    def subjects(self):
        return [name for name in ALL if any(key[0] == name for key in self.runs)]

    def rule_counts(self):
        return sorted({key[2] for key in self.runs if key[1] == "new_flow_ns"})


def _cell(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    """In Markdown, aligned."""
    rows = [head, *rows]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in rows]
    lines.insert(1, "|" + "|".join(" " + "-" * width + " " for width in widths) + "|")
    return "\n".join(lines)


def tables(results, rules):
    """All of it, as text; `rules`: at which established flows were measured."""
    names = results.subjects()
    title = {name: ALL[name].title for name in names}
    parts = []
    parts.append(f"Established flows, {rules} rules: Mpps (ns of processor time a packet)\n" + table(
        ["", *[f"{size} bytes" for size in SIZES], "TCP, Gbit/s"],
        [[title[n], *[f"{_cell(results.get(n, 'established_mpps', rules, size), 3)} "
                      f"({_cell(results.get(n, 'established_ns', rules, size), 0)})"
                      for size in SIZES], _cell(results.get(n, "tcp_gbps", rules, 0), 2)]
         for n in names]))
    counts = results.rule_counts()
    judged = [n for n in names if any(results.get(n, "new_flow_ns", c) for c in counts)]
    if judged:
        parts.append("Every packet a new flow, by number of rules: Mpps (ns)\n" + table(
            ["", *[f"{count}" for count in counts]],
            [[title[n], *[f"{_cell(results.get(n, 'new_flow_mpps', c), 4)} "
                          f"({_cell(results.get(n, 'new_flow_ns', c), 0)})" for c in counts]]
             for n in judged]))
    timed = [n for n in names if results.get(n, "latency_idle_p50_us", rules) is not None]
    if timed:
        parts.append(f"Latency from pod to pod, {rules} rules, µs: p50 / p99 / p99.9\n" + table(
            ["", "idle (1 000 packets/s)", "half load", "half load is, Mpps"],
            [[title[n], *[" / ".join(_cell(results.get(n, f"latency_{load}_{p}_us", rules), 1)
                                     for p in PERCENTILES) for load in ("idle", "half")],
              _cell(results.get(n, "latency_half_mpps", rules), 3)] for n in timed]))
    return "\n\n".join(parts)


def _ratio(over, under):
    return None if over is None or not under else over / under


def _more_than_established(results, subject, count, rules):
    """Nanoseconds that a new flow takes more than an established packet: None if not measured, 0
    if that is not clearly more."""
    new, old = (subject, "new_flow_ns", count), (subject, "established_ns", rules)
    if results.get(*new) is None or results.get(*old) is None:
        return None
    difference = results.get(*new) - results.get(*old)
    noise = max(results.spread(*new), results.spread(*old),
                LEAST_DIFFERENCE * results.get(*old))
    return difference if difference > noise else 0


def goals(results, rules):
    """(text, reached) of each for which there are results; reached is None if they cannot tell."""
    get = results.get
    ours = next((n for n in ("sluice", "sluice-poll") if get(n, "established_mpps", rules)), None)
    if ours is None:
        return []
    found = []

    def add(text, value, least):
        if value is not None:
            found.append((f"{text}: {value:.2f} (goal: {least:g})", value >= least))

    add("rate of testpmd's, 64 bytes", _ratio(get(ours, "established_mpps", rules),
                                              get("testpmd", "established_mpps", rules)), 0.85)
    add("iptables' processor time an established packet over ours",
        _ratio(get("iptables", "established_ns", rules), get(ours, "established_ns", rules)), 1)
    for count, least in ((100, 10), (10_000, 100)):
        add(f"nftables' processor time a new flow over ours, {count} rules",
            _ratio(get("nftables", "new_flow_ns", count), get(ours, "new_flow_ns", count)), least)
        text = "the same without what an established packet costs"
        over = _more_than_established(results, "nftables", count, rules)
        under = _more_than_established(results, ours, count, rules)
        if over and under:
            add(text, over / under, least)
        elif None not in (over, under):
            found.append((f"{text}: {NO_DIFFERENCE}", None))
    counts = results.rule_counts()
    if len(counts) > 1:
        add(f"ours with {counts[0]} rule(s) over ours with {counts[-1]}",
            _ratio(get(ours, "new_flow_ns", counts[0]), get(ours, "new_flow_ns", counts[-1])), 0.8)
    return found


def doubts(results):
    """What a reader has to know about some of the figures."""
    found = []
    for subject, what, rules, frame in sorted(results.runs):
        value = results.get(subject, what, rules, frame)
        kind = what.removesuffix("_loss").removesuffix("_offered_mpps")
        place = f"{subject}, {kind.replace('_', ' ')}, {rules} rules, {frame} bytes"
        if what.endswith("_loss") and value > 0.02:
            found.append(f"{place}: {value:.0%} were lost while processor time was measured")
        if (what.endswith("_offered_mpps") and
                value < 1.1 * results.get(subject, kind + "_mpps", rules, frame)):
            found.append(f"{place}: the generator offered no more than {value:.3f} Mpps")
    return found


def plot(results, rules, path, facts):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    names = results.subjects()
    colours = dict(zip(ALL, ("#999999", "#d95f02", "#e6ab02", "#7570b3", "#666666", "#1b9e77",
                             "#66c2a5")))
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7.5))
    (rate, cost), (new, latency) = axes
    width = 0.8 / len(names)
    for axis, what in ((rate, "established_mpps"), (cost, "established_ns")):
        for i, name in enumerate(names):
            heights = [results.get(name, what, rules, size) or 0 for size in SIZES]
            axis.bar([x + i * width for x in range(len(SIZES))], heights, width,
                     label=ALL[name].title, color=colours[name])
        axis.set_xticks([x + 0.4 - width / 2 for x in range(len(SIZES))],
                        [f"{size} bytes" for size in SIZES])
    rate.set_title(f"Established flows, {rules} rules: Mpps (more is better)")
    rate.set_ylim(0, rate.get_ylim()[1] * 1.3)  # room for the legend
    rate.legend(fontsize=7, ncols=2, loc="upper center")
    cost.set_title("Processor time a packet, all cores, ns (less is better)")
    for name in names:
        line = [(c, results.get(name, "new_flow_ns", c)) for c in results.rule_counts()]
        line = [(c, value) for c, value in line if value]
        if line:
            new.plot(*zip(*line), marker="o", label=ALL[name].title, color=colours[name])
    new.set(xscale="log", yscale="log", xlabel="rules")
    new.set_title("Every packet a new flow: processor time, ns (less is better)")
    ticks = []
    for name in names:
        for load in ("idle", "half"):
            values = [results.get(name, f"latency_{load}_{p}_us", rules) for p in PERCENTILES]
            if values[0] is not None:
                for value, alpha in zip(reversed(values), (0.35, 0.6, 1)):
                    latency.barh(len(ticks), value, color=colours[name], alpha=alpha)
                ticks.append(f"{ALL[name].title}, {load}")
    latency.set_yticks(range(len(ticks)), ticks, fontsize=8)
    latency.set(xscale="log", xlabel="µs")
    latency.set_title("Latency, p50 / p99 / p99.9 (less is better)")
    figure.suptitle(f"Pod to pod over veths, one core: {facts['cpu']}, Linux {facts['kernel']}",
                    fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
