"""Turns runs into markdown tables and pictures of bars, and into the summary of the README."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from .measure import Measured
from .workloads import GIB, MIB, WORKLOADS, Workload
from .writers import LIBRARIES

if TYPE_CHECKING:
    from pathlib import Path

BAR = 40
EIGHTHS = " ▏▎▍▌▋▊▉"
# By link and workload, then by library.
Tables = dict[tuple[str, str], dict[str, list[Measured]]]
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


@dataclass(frozen=True)
class Measure:
    """One figure of a run; `per_object` is its name where the workload is many objects."""

    name: str
    per_object: str
    of: Callable[[Measured, Workload], float]
    digits: int

    def unit(self, workload: Workload) -> str:
        return self.per_object if workload.per == "object" else self.name

    def median(self, runs: list[Measured], workload: Workload) -> float | None:
        """None when no run has come through."""
        figures = [self.of(run, workload) for run in runs if not run.failure]
        return median(figures) if figures else None

    def show(self, figure: float) -> str:
        return f"{figure:.{self.digits}f}"


def cpu_cost(run: Measured, workload: Workload) -> float:
    if workload.per == "object":
        return run.cpu / len(run.sizes) * 1000
    return run.cpu / sum(run.sizes.values()) * GIB


def speed(run: Measured, workload: Workload) -> float:
    if workload.per == "object":
        return len(run.sizes) / run.wall
    return sum(run.sizes.values()) / run.wall / MIB


CPU = Measure("CPU s/GiB", "CPU ms/object", cpu_cost, 2)
SPEED = Measure("MiB/s", "objects/s", speed, 0)
PEAK = Measure("peak memory, MiB", "peak memory, MiB", lambda run, _: run.peak / MIB, 0)

# What the README shows: heading, link, workload, measure.
SUMMARY = (
    ("https", "https", "stream", CPU),
    ("http", "http", "stream", CPU),
    ("lines of 200 bytes", "https", "lines", CPU),
    ("Parquet", "https", "parquet", CPU),
    ("1 KiB objects", "https", "objects", CPU),
    ("like S3", "s3-like", "stream", SPEED),
    ("its memory", "s3-like", "stream", PEAK),
)


def table(workload: Workload, rows: dict[str, list[Measured]]) -> str:
    lines = [
        f"| library | {CPU.unit(workload)} | lowest to highest "
        f"| {SPEED.unit(workload)} | {PEAK.unit(workload)} |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, runs in rows.items():
        costs = [cpu_cost(run, workload) for run in runs if not run.failure]
        if not costs:
            lines.append(f"| {name} | {runs[0].failure} | | | |")
            continue
        shown = [
            "" if figure is None else measure.show(figure)
            for measure in (CPU, SPEED, PEAK)
            for figure in [measure.median(runs, workload)]
        ]
        span = f"{CPU.show(min(costs))} to {CPU.show(max(costs))}"
        lines.append(f"| {name} | {' | '.join([shown[0], span, *shown[1:]])} |")
    return "\n".join(lines)


def picture(workload: Workload, rows: dict[str, list[Measured]]) -> str:
    """Bars for every measure; the cheapest first, shorter is better, but for the speed."""
    width = max(map(len, rows))
    lines = []
    for measure in (CPU, SPEED, PEAK):
        medians = {name: measure.median(runs, workload) for name, runs in rows.items()}
        figures = {name: figure for name, figure in medians.items() if figure is not None}
        scale = max(figures.values(), default=0) or 1
        lines += ["", measure.unit(workload)]
        lines += [
            f"{name:<{width}} {bar(figure / scale)} {measure.show(figure)}"
            for name, figure in sorted(
                figures.items(), key=lambda item: item[1], reverse=measure is SPEED
            )
        ]
    return "\n".join(["```", *lines[1:], "```"])


def bar(fraction: float) -> str:
    full, eighths = divmod(round(fraction * BAR * 8), 8)
    return "█" * full + EIGHTHS[eighths].strip()


def versions(tables: Tables) -> dict[str, dict[str, str]]:
    """What ran in the process of each library."""
    return {
        name: run.versions
        for rows in tables.values()
        for name, runs in rows.items()
        for run in runs
        if run.versions
    }


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def colophon(tables: Tables) -> str:
    """Where and with what the figures were made."""
    lines = [
        f"Machine: {machine()} {platform.release()}; server and client share it.",
        "",
        "Medians. CPU is the client process's own, its threads included. Peak memory is above "
        "the interpreter with the library imported.",
        "",
    ]
    for name, found in versions(tables).items():
        note = LIBRARIES[name].note
        told = ", ".join(f"{what} {version}" for what, version in found.items())
        lines.append(f"- {name}: {told}{f' ({note})' if note else ''}")
    return "\n".join(lines)


def whole(tables: Tables, about: dict[str, str]) -> str:
    """Everything that was measured; `about` has a heading for each link."""
    parts = []
    for (link, name), rows in tables.items():
        workload = WORKLOADS[name]
        parts += [f"## {about[link]}: {workload.about}", table(workload, rows)]
        parts.append(picture(workload, rows))
    return "\n\n".join([*parts, colophon(tables)])


def summary(tables: Tables) -> str:
    """One table of the figures that matter most, and what they were measured with."""
    there = [entry for entry in SUMMARY if entry[1:3] in tables]
    headings = [
        f"{heading}, {measure.unit(WORKLOADS[workload])}" for heading, _, workload, measure in there
    ]
    lines = [f"| | {' | '.join(headings)} |", "|---" + "|--:" * len(there) + "|"]
    found = versions(tables)
    for name, library in LIBRARIES.items():
        cells = []
        for _, link, workload, measure in there:
            runs = tables[link, workload].get(name, [])
            figure = measure.median(runs, WORKLOADS[workload])
            cells.append("" if figure is None else measure.show(figure))
        if any(cells):
            own = found[name].get(library.distributions[0], "") if library.distributions else ""
            title = f"{name} {own}".strip()
            title = f"**{title}**" if name == "s3stream" else title
            lines.append(f"| {title} | {' | '.join(cells)} |")
    rounds = max(len(runs) for rows in tables.values() for runs in rows.values())
    ours = found["s3stream"]
    lines += [
        "",
        f"Medians of {rounds}; {machine()}, server and client share it; Python {ours['python']},"
        f" OpenSSL {ours['OpenSSL']}, botocore {ours['botocore']}.",
    ]
    return "\n".join(lines)


def replace_summary(readme: Path, tables: Tables) -> None:
    """Put the summary between the two markers of a file; `ValueError` when they are not there."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} has no {BEGIN} before an {END}")
    text = f"{before}{begin}\n\n{summary(tables)}\n\n{end}{after}"
    readme.write_text(text, encoding="utf-8")
