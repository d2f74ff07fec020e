"""One run of one library with one workload, in a process of its own; prints one line of JSON.

Everything a figure could carry over from elsewhere (imports, client, first connection, the
workload's own bytes) happens before the clock starts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import platform
import resource
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from .workloads import WORKLOADS, Run
from .writers import LIBRARIES, Endpoint, Library, Opener


@dataclass(frozen=True)
class Measured:
    """What a run cost, and what it claims to have written."""

    cpu: float = 0
    wall: float = 0
    peak: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    absent: bool = False


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def forget_peak() -> None:
    """Let the next peak be this run's own, where the kernel can forget what imports needed."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    # Linux hands ru_maxrss on through exec: a small child would start with its parent's peak.
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "from a checkout"


def versions(library: Library) -> dict[str, str]:
    found = {"python": platform.python_version(), "OpenSSL": ssl.OPENSSL_VERSION.split()[1]}
    return found | {name: version(name) for name in library.distributions}


def write_and_close(opener: Opener, key: str) -> None:
    file = opener(key)
    file.write(b"warm")
    file.close()


def measure(library: Library, run: Run, endpoint: Endpoint, prefix: str) -> Measured:
    forget_peak()
    before = peak_memory()
    connected = library.connect(endpoint)

    write_and_close(connected, f"{prefix}warm-up")
    cpu, wall = cpu_seconds(), time.perf_counter()
    sizes = run(lambda name: connected(f"{prefix}{name}"))
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    return Measured(
        cpu=cpu,
        wall=wall,
        peak=peak_memory() - before,
        sizes={f"{prefix}{name}": size for name, size in sizes.items()},
        versions=versions(library),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--even", action="store_true")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--size", type=int, required=True)
    args = parser.parse_args()
    library = LIBRARIES[args.library]
    try:
        for module in library.modules:
            importlib.import_module(module)
    except ModuleNotFoundError as missing:
        # A library's own submodule that is missing is a defect, not an absence.
        if "." in (missing.name or "."):
            raise
        print(json.dumps(asdict(Measured(failure="not installed", absent=True))))
        return
    run = WORKLOADS[args.workload].prepare(args.size)
    measured = measure(library, run, Endpoint(args.endpoint, args.ca, args.even), args.prefix)
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
