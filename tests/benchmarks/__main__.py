"""Runs the benchmark and prints its report: ``python -m tests.benchmarks --help``.

The null server runs in one process, every measured run in another; the rounds are interleaved, so
that a slow minute of the machine falls on all libraries alike.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from . import report
from .measure import Measured
from .workloads import GIB, WORKLOADS
from .writers import BUCKET, LIBRARIES, Endpoint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900


@dataclass(frozen=True)
class Certificate:
    """Paths of an authority and of a certificate it has issued to this machine."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def issue(cls, directory: Path) -> Certificate:
        made = cls(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(str(made.ca))
        issued.private_key_pem.write_to_path(str(made.key))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(made.cert), append=True)
        return made


@contextlib.contextmanager
def null_server(certificate: Certificate | None, latency: float, rate: float) -> Iterator[Endpoint]:
    """A null server in a process of its own, for as long as the `with` body runs."""
    command = [sys.executable, "-m", f"{__package__}.null_server"]
    command += ["--latency", str(latency), "--rate", str(rate)]
    if certificate:
        command += ["--tls", str(certificate.cert), str(certificate.key)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            scheme = "https" if certificate else "http"
            ca = str(certificate.ca) if certificate else None
            yield Endpoint(f"{scheme}://127.0.0.1:{port}", ca)
        finally:
            process.kill()


def clean_environment() -> dict[str, str]:
    """Ours, without what would send a library elsewhere or make it look for credentials."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and not name.lower().endswith("_proxy")
    }
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run_once(
    python: str, library: str, workload: str, endpoint: Endpoint, size: int, prefix: str
) -> Measured:
    """Measure in a fresh process; whatever goes wrong there is a failure of this run only."""
    command = [python, "-m", f"{__package__}.measure", library, workload]
    command += ["--endpoint", endpoint.url, "--size", str(size), "--prefix", prefix]
    if endpoint.ca:
        command += ["--ca", endpoint.ca]
    try:
        done = subprocess.run(
            command,
            check=False,  # its failure is a row of the table
            cwd=ROOT,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Measured(failure=f"failed: not done after {PATIENCE} s")
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return Measured(failure=f"failed: {said[-1]}")
    measured = Measured(**json.loads(done.stdout.splitlines()[-1]))
    if wrong := not_there(endpoint, measured.sizes):
        return replace(measured, failure=f"failed: {wrong}")
    return measured


def not_there(endpoint: Endpoint, sizes: dict[str, int]) -> str:
    """Say which object is missing or cut short: who loses bytes has not been fast."""
    connection: http.client.HTTPConnection
    if endpoint.ca:
        context = ssl.create_default_context(cafile=endpoint.ca)
        connection = http.client.HTTPSConnection(endpoint.host_and_port, context=context)
    else:
        connection = http.client.HTTPConnection(endpoint.host_and_port)
    with contextlib.closing(connection):
        for key, size in sizes.items():
            connection.request("HEAD", f"/{BUCKET}/{key}")
            answer = connection.getresponse()
            answer.read()
            stored = answer.headers.get("Content-Length") if answer.status == 200 else None
            if stored != str(size):
                return f"{key} should have {size} bytes and has {stored}"
    return ""


def chosen(text: str, among: Collection[str], parser: argparse.ArgumentParser) -> list[str]:
    """The names in a comma-separated argument, each of which must be known."""
    picked = text.split(",")
    for name in picked:
        if name not in among:
            parser.error(f"{name!r} is none of {', '.join(among)}")
    return picked


@dataclass(frozen=True)
class Plan:
    """Which runs to make, how large, how often, and with which interpreters."""

    libraries: list[str]
    workloads: list[str]
    schemes: list[str]
    rounds: int
    size: int
    pythons: dict[str, str]
    latency: float
    rate: float

    @property
    def tables(self) -> list[tuple[str, str]]:
        return [(scheme, workload) for scheme in self.schemes for workload in self.workloads]


def parse() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--workloads", default="", help=f"of {', '.join(WORKLOADS)}; default all")
    parser.add_argument("--scheme", default="", help="default https,http")
    parser.add_argument("--rounds", type=int, default=0, help="default 5")
    parser.add_argument("--gib", type=float, default=0, help="size of a run; default 1")
    parser.add_argument(
        "--quick", action="store_true", help="one round of 1/8 GiB of the first workload, https"
    )
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, default=0, help="MiB/s taken per connection")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="interpreter of every library but ours"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PATH=LIBRARY,...",
        help="interpreter of these libraries; may be given again",
    )
    args = parser.parse_args()
    pythons = {
        name: sys.executable if library.ours else args.peer_python
        for name, library in LIBRARIES.items()
    }
    for choice in args.python:
        path, _, of = choice.rpartition("=")
        pythons |= dict.fromkeys(chosen(of, LIBRARIES, parser), path)
    workloads = args.workloads or (next(iter(WORKLOADS)) if args.quick else ",".join(WORKLOADS))
    schemes = args.scheme or ("https" if args.quick else "https,http")
    return Plan(
        libraries=chosen(args.libraries, LIBRARIES, parser),
        workloads=chosen(workloads, WORKLOADS, parser),
        schemes=chosen(schemes, ("https", "http"), parser),
        rounds=args.rounds or (1 if args.quick else 5),
        size=int((args.gib or (1 / 8 if args.quick else 1)) * GIB),
        pythons=pythons,
        latency=args.latency,
        rate=args.rate,
    )


def run_all(plan: Plan) -> report.Tables:
    """Every run of the plan, round by round."""
    tables: report.Tables = {what: {name: [] for name in plan.libraries} for what in plan.tables}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificates = {"https": Certificate.issue(directory), "http": None}
        endpoints = {
            scheme: stack.enter_context(null_server(certificates[scheme], plan.latency, plan.rate))
            for scheme in plan.schemes
        }
        for number in range(plan.rounds):
            for (scheme, workload), rows in tables.items():
                size = int(plan.size * WORKLOADS[workload].share)
                for name, done in rows.items():
                    if done and done[-1].absent:
                        continue
                    prefix = f"{number}/{name}/{workload}/"
                    run = run_once(
                        plan.pythons[name], name, workload, endpoints[scheme], size, prefix
                    )
                    done.append(run)
                    told = run.failure or f"{run.cpu:.2f} s CPU, {run.wall:.2f} s"
                    print(number + 1, scheme, workload, name, told, file=sys.stderr, flush=True)
    return tables


def main() -> int:
    tables = run_all(parse())
    print(report.whole(tables))
    every = [run for rows in tables.values() for done in rows.values() for run in done]
    return int(any(run.failure and not run.absent for run in every))


if __name__ == "__main__":
    sys.exit(main())
