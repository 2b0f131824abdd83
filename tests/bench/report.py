#!/usr/bin/env python3
"""Prints the measurements of load.sh as tables: report.py RESULTS NOTES KIND_NODES"""

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
        # Goal, measured value, upper limit, unit.
        self.goals = []

    def answer(self, name):
        """milvusctl's JSON output in a run."""
        return json.loads(pathlib.Path(f"{self.results}.{name}.out").read_text())

    def sent(self, name):
        """Bytes sent, by node."""
        by_node = {}
        for image in self.answer(name)["images"]:
            for node in image["nodes"]:
                by_node[node["node"]] = by_node.get(node["node"], 0) + node["bytes_sent"]
        return by_node

    def all(self, way):
        """The runs of one kind, such as a-1, a-2 and a-3."""
        return [run for name, run in self.runs.items() if name.rpartition("-")[0] == way and name[-1].isdigit()]

    def median(self, names, figure="seconds"):
        runs = [self.runs[name] for name in names if name in self.runs]
        return statistics.median(run[figure] for run in runs) if runs else None

    def goal(self, what, value, most, unit=""):
        if value is not None and most is not None:
            self.goals.append((what, value, most, unit))

    def loading(self):
        names = {way: [run["name"] for run in self.all(way)] for way in "abc"}
        seconds = {way: self.median(names[way]) for way in "abc"}
        if not names["c"]:
            return
        answers = [(self.runs[name]["seconds"], self.answer(name)) for name in names["c"]]
        # The output counts from when the missing images are known.
        seconds["first"] = statistics.median(
            whole - answer["seconds"] + answer["seconds_until_pods_can_start"] for whole, answer in answers)
        per_node = max(self.sent(names["c"][0]).values(), default=0)
        sent = {"a": self.notes.get("kind_bytes"), "b": self.notes.get("kind_at_once_bytes"), "c": per_node}
        titles = {"a": "(a) pull, `kind load`, one by one", "b": "(b) all pulls, one `kind load`",
                  "c": "(c) `load-missing-images`", "first": "(c) where pods wait"}

        def share(way, of):
            return seconds[way] / seconds[of] if seconds[of] else None

        rows = []
        for way, title in titles.items():
            if seconds[way]:
                ratio = [f"{share(way, of):.2f}" if seconds[of] else "" for of in "ab"]
                cpu, peak = (self.median(names.get(way, []), figure) for figure in ("cpu_seconds", "peak_mib"))
                rows.append([title, f"{seconds[way]:.1f}", *ratio, f"{cpu:.0f}" if cpu else "", mib(sent.get(way)),
                             f"{peak:.0f}" if peak else ""])
        heading = ["run", "seconds", "of (a)", "of (b)", "CPU s", "MiB to each node", "peak MiB"]
        print(f"Medians of {len(names['c'])}.\n")
        table(heading, rows)
        is_new = self.notes.get("containerd", 2) >= 2
        self.goal("into all workers, of (a)", share("c", "a"), 0.20 if is_new else 0.35)
        self.goal("into all workers, of (b)", share("c", "b"), 0.25 if is_new else 0.35)
        self.goal("where pods wait, of (a)", share("first", "a"), 0.12 if is_new else None)

    def again(self):
        names = [run["name"] for run in self.all("again")]
        if names:
            self.goal("nothing to do, seconds", self.median(names), 0.5, "s")
            self.goal("nothing to do, bytes sent", sum(sum(self.sent(name).values()) for name in names), 0)

    def upgrade(self):
        if "upgrade" not in self.runs:
            return
        by_hand, ours = self.runs["upgrade-by-hand"], self.runs["upgrade"]
        kind, sent, new = self.notes["upgrade_kind_bytes"], max(self.sent("upgrade").values()), 4 * MIB
        table(["upgrade, 4 MiB are new", "seconds", "MiB to each node", "of the new layer"], [
            ["pull, `kind load`", f"{by_hand['seconds']:.2f}", mib(kind), f"{kind / new:.3f}"],
            ["`load-missing-images`", f"{ours['seconds']:.2f}", mib(sent), f"{sent / new:.3f}"],
        ])
        self.goal("upgrade, to each node, of the new layer", sent / new, 1.02)
        self.goal("upgrade, from the registry, of the new layer", self.notes["upgrade_registry_bytes"] / new, 1.02)

    def faults(self):
        notes = self.notes
        if "second" in self.runs:
            self.goal("nodes of a second cluster, bytes from the registry", notes["second_bytes"], 0)
        if "cut" in self.runs:
            self.goal("every connection cut after 5 MB, bytes of what is needed", notes["cut_bytes"] / notes["cut_size"],
                      1.02)
            docker, ended = self.runs["cut-docker"], notes["cut_docker_ended"]
            print(f"Cut after 5 MB: `docker pull` {'ended' if ended else 'failed'} after {docker['seconds']:.1f} s and "
                  f"{mib(notes['cut_docker_bytes'])} MiB, milvusctl ended after {self.runs['cut']['seconds']:.1f} s and "
                  f"{mib(notes['cut_bytes'])} of {mib(notes['cut_size'])} MiB.\n")
        if "stall" in self.runs:
            second, size = notes["stall_second_bytes"], notes["stall_size"]
            print(f"First mirror stalls after 4 MB of a blob: ended after {self.runs['stall']['seconds']:.1f} s; "
                  f"{mib(second)} of {mib(size)} MiB came from the second.\n")
            self.goal("a mirror stalls, bytes from the next of what is needed", second / size, 1.0)
        if "slow" in self.runs:
            ours, docker = (self.runs[name]["seconds"] for name in ("slow", "slow-docker"))
            print(f"4 MiB/s on each connection: `docker pull` {docker:.1f} s, milvusctl {ours:.1f} s.\n")
            self.goal("4 MiB/s on each connection, of `docker pull`", ours / docker, 0.4)
        if "limits-2" in self.runs:
            for run, most in ((1, 2), (2, 0)):
                self.goal(f"20 requests a minute, run {run}, refused (429)", notes[f"limits_refused_{run}"], most)
            images, blobs = notes["limits_images"], notes["limits_blobs"]
            asked = notes["limits_asked_1"] - notes["limits_refused_1"]
            print(f"20 requests a minute: {images} images and {blobs} blobs with {asked} requests in "
                  f"{self.runs['limits-1']['seconds']:.0f} s, again in {self.runs['limits-2']['seconds']:.0f} s.\n")
            self.goal("20 requests a minute, requests more than blobs, per image", (asked - blobs) / images, 3)

    def verdicts(self):
        ours = [run for name, run in self.runs.items()
                if name[0] == "c" and name[2:].isdigit() or name in ("second", "upgrade", "cut", "stall", "slow")]
        if ours:
            self.goal("peak memory, largest of all loads", max(run["peak_mib"] for run in ours), 48, "MiB")
        rows = []
        for what, value, most, unit in self.goals:
            reached = value <= most
            verdict = "reached" if reached else f"missed by {value - most:.2f}".rstrip("0").rstrip(".")
            shown = f"{value:.3f}".rstrip("0").rstrip(".")
            rows.append([what, f"{shown} {unit}".strip(), f"{most:g} {unit}".strip(), verdict])
        if rows:
            table(["goal", "measured", "at most", ""], rows)

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
    report.faults()
    report.pods()
    report.verdicts()


main()
