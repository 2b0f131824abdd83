#!/usr/bin/env python3
"""Runs a command and appends its cost to a file, as one line of JSON.

measure.py RESULTS NAME -- COMMAND ARGUMENT...

`seconds` is wall time, `cpu_seconds` the time used by all processes on the machine meanwhile (the engine and the nodes
work outside the command's own processes), `peak_mib` the largest resident memory of the command itself, without its
children. Standard output goes to RESULTS.NAME.out.
"""

import json
import os
import subprocess
import sys
import time


def busy_seconds():
    """CPU seconds the machine has used so far, without waiting for disks."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid):
    """The largest resident memory so far; 0 once the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
    except OSError:
        return 0
    return int(lines[0].split()[1]) if lines else 0


def main():
    results, name, _, *command = sys.argv[1:]
    before, peak = busy_seconds(), 0
    with open(f"{results}.{name}.out", "w") as out:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=out)
        while process.poll() is None:
            peak = max(peak, peak_kib(process.pid))
            time.sleep(0.01)
        seconds = time.monotonic() - began
    line = {
        "name": name,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(busy_seconds() - before, 2),
        "peak_mib": round(peak / 1024, 1),
    }
    with open(results, "a") as file:
        print(json.dumps(line), file=file)
    sys.exit(process.returncode)


main()
