#!/usr/bin/env python3
"""Prints what load.sh measured as tables: report.py RESULTS NOTES KIND_NODES"""

import json
import pathlib
import statistics
import sys

MIB = 1024 * 1024


def lines(path):
    path = pathlib.Path(path)
    return path.read_text().splitlines() if path.exists() else []


def table(heading, rows):
    print("| " + " | ".join(heading) + " |")
    print("|" + "---|" * len(heading))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def mib(size):
    return f"{size / MIB:.1f}" if size is not None else ""


class Report:
    def __init__(self, results, notes):
        self.runs = {run["name"]: run for run in map(json.loads, lines(results))}
        self.notes = {key: int(value) for key, value in (line.split("=") for line in lines(notes))}
        self.results = results

    def answer(self, name):
        """What milvusctl answered in a run."""
        return json.loads(pathlib.Path(f"{self.results}.{name}.out").read_text())

    def sent(self, name):
        """Bytes sent, by node."""
        by_node = {}
        for image in self.answer(name)["images"]:
            for node in image["nodes"]:
                by_node[node["node"]] = by_node.get(node["node"], 0) + node["bytes_sent"]
        return by_node

    def median(self, names):
        runs = [self.runs[name] for name in names if name in self.runs]
        return statistics.median(run["seconds"] for run in runs) if runs else None

    def loading(self):
        a, b = (self.runs.get(name, {}).get("seconds") for name in ("a", "b"))

        def row(what, seconds, run, read, sent):
            ratio = [f"{seconds / base:.2f}" if base else "" for base in (a, b)]
            return [what, f"{seconds:.1f}", *ratio, f"{run['cpu_seconds']:.0f}", mib(read), mib(sent),
                    f"{run['peak_mib']:.0f}"]

        rows = []
        for name, what, note in [("a", "(a) pull, `kind load`, one by one", "kind_bytes"),
                                 ("b", "(b) all pulls, one `kind load`", "kind_at_once_bytes")]:
            if name in self.runs:
                run = self.runs[name]
                rows.append(row(what, run["seconds"], run, self.notes[note], self.notes[note]))
        if "c" in self.runs:
            run, answer = self.runs["c"], self.answer("c")
            per_node = max(self.sent("c").values(), default=0)
            rows.append(row("(c) `load-missing-images`", run["seconds"], run, answer["bytes_read"], per_node))
            # The answer counts from when it is known what is missing.
            waiting = run["seconds"] - answer["seconds"] + answer["seconds_until_pods_can_start"]
            rows.append(row("(c) where pods wait", waiting, run, None, None))
        if rows:
            table(["run", "seconds", "of (a)", "of (b)", "CPU s", "MiB read", "MiB to each node", "peak MiB"], rows)

    def again(self):
        names = [name for name in self.runs if name.startswith("again-")]
        if names:
            sent = sum(sum(self.sent(name).values()) for name in names)
            print(f"Nothing to do: {self.median(names):.2f} s (median of {len(names)}), {sent} bytes sent\n")

    def upgrade(self):
        if "upgrade" not in self.runs:
            return
        by_hand, ours = self.runs["upgrade-by-hand"], self.runs["upgrade"]
        kind = self.notes["upgrade_kind_bytes"]
        sent = max(self.sent("upgrade").values())
        new = 4 * MIB
        table(["upgrade, 4 MiB are new", "seconds", "MiB to each node", "of the new layer"], [
            ["pull, `kind load`", f"{by_hand['seconds']:.2f}", mib(kind), f"{kind / new:.3f}"],
            ["`load-missing-images`", f"{ours['seconds']:.2f}", mib(sent), f"{sent / new:.3f}"],
        ])

    def pods(self):
        rows = []
        for count in (5000, 50000):
            kubectl = self.median([f"kubectl-{count}-{n}" for n in range(3)])
            plan = self.median([f"plan-{count}-{n}" for n in range(3)])
            if kubectl:
                peak = max(self.runs[f"plan-{count}-{n}"]["peak_mib"] for n in range(3))
                rows.append([f"{count:,}", f"{kubectl:.2f}", f"{plan:.2f}", f"{plan / kubectl:.2f}", f"{peak:.0f}"])
        if rows:
            table(["pods", "`kubectl get pods` s", "find and plan s", "ratio", "peak MiB"], rows)


def main():
    results, notes, kind_nodes = sys.argv[1:]
    report = Report(results, notes)
    print(f"`kind load` goes to {'all nodes' if kind_nodes == 'all' else 'the workers'}.\n")
    report.loading()
    report.again()
    report.upgrade()
    report.pods()


main()
