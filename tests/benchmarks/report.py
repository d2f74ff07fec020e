"""Turns runs into a markdown table and a picture of bars, one of each per scheme and workload."""

from __future__ import annotations

import os
import platform
from statistics import median

from .measure import Measured
from .workloads import GIB, MIB, WORKLOADS, Workload
from .writers import LIBRARIES

BAR = 40
# By scheme and workload, then by library.
Tables = dict[tuple[str, str], dict[str, list[Measured]]]
EIGHTHS = " ▏▎▍▌▋▊▉"


def cpu_cost(run: Measured, workload: Workload) -> float:
    """CPU seconds per GiB, or milliseconds per object."""
    if workload.per == "object":
        return run.cpu / len(run.sizes) * 1000
    return run.cpu / sum(run.sizes.values()) * GIB


def speed(run: Measured, workload: Workload) -> float:
    """MiB, or objects, per second."""
    if workload.per == "object":
        return len(run.sizes) / run.wall
    return sum(run.sizes.values()) / run.wall / MIB


def table(workload: Workload, rows: dict[str, list[Measured]]) -> str:
    per_object = workload.per == "object"
    lines = [
        f"| library | CPU {'ms/object' if per_object else 's/GiB'} | lowest to highest "
        f"| {'objects/s' if per_object else 'MiB/s'} | peak memory, MiB |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, runs in rows.items():
        good = [run for run in runs if not run.failure]
        if not good:
            lines.append(f"| {name} | {runs[0].failure} | | | |")
            continue
        costs = [cpu_cost(run, workload) for run in good]
        lines.append(
            f"| {name} | {median(costs):.2f} | {min(costs):.2f} to {max(costs):.2f} "
            f"| {median(speed(run, workload) for run in good):.0f} "
            f"| {median(run.peak for run in good) / MIB:.0f} |"
        )
    return "\n".join(lines)


def picture(workload: Workload, rows: dict[str, list[Measured]]) -> str:
    """Bars of CPU cost, the cheapest first: shorter is better."""
    costs = {
        name: median(cpu_cost(run, workload) for run in runs if not run.failure)
        for name, runs in rows.items()
        if not all(run.failure for run in runs)
    }
    if not costs:
        return ""
    scale = max(costs.values()) or 1
    width = max(map(len, costs))
    bars = (
        f"{name:<{width}} {bar(cost / scale)} {cost:.2f}"
        for name, cost in sorted(costs.items(), key=lambda item: item[1])
    )
    return "\n".join(["```", *bars, "```"])


def bar(fraction: float) -> str:
    full, eighths = divmod(round(fraction * BAR * 8), 8)
    return "█" * full + EIGHTHS[eighths].strip()


def colophon(tables: Tables) -> str:
    """Where and with what the figures were made."""
    seen = {
        name: run.versions
        for rows in tables.values()
        for name, runs in rows.items()
        for run in runs
        if run.versions
    }
    lines = [
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, {platform.system()} "
        f"{platform.release()}; server and client share it.",
        "",
        "Medians. CPU is the client process's own, its threads included. Peak memory is above "
        "the interpreter with the library imported.",
        "",
    ]
    for name, versions in seen.items():
        note = LIBRARIES[name].note
        told = ", ".join(f"{what} {version}" for what, version in versions.items())
        lines.append(f"- {name}: {told}{f' ({note})' if note else ''}")
    return "\n".join(lines)


def whole(tables: Tables) -> str:
    parts = []
    for (scheme, name), rows in tables.items():
        workload = WORKLOADS[name]
        parts += [f"## {scheme}, {workload.about}", table(workload, rows), picture(workload, rows)]
    return "\n\n".join(part for part in [*parts, colophon(tables)] if part)
