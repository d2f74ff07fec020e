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


@dataclass(frozen=True)
class Link:
    """What lies between client and store, and which workloads show something there.

    `latency` in seconds before each answer, `rate` in MiB/s of each connection (0: as it comes).
    `even`: all libraries with the same parts, as many in flight; otherwise with their defaults.
    """

    about: str
    scheme: str
    latency: float = 0
    rate: float = 0
    even: bool = True
    workloads: tuple[str, ...] = tuple(WORKLOADS)


LINKS = {
    "https": Link("https", "https"),
    # What a call costs is the same here: lines and Parquet show over https already.
    "http": Link("http", "http", workloads=("stream", "fresh", "copy", "one-write", "objects")),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html
    "s3-like": Link(
        "as S3 is (50 ms per answer, 90 MiB/s per connection), each library's defaults",
        "https",
        latency=0.05,
        rate=90,
        even=False,
        workloads=("stream",),
    ),
    "s3-like-even": Link(
        "as S3 is, eight parts of 8 MiB in flight",
        "https",
        latency=0.05,
        rate=90,
        workloads=("stream",),
    ),
}

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
def null_server(link: Link, certificate: Certificate | None) -> Iterator[Endpoint]:
    """A null server in a process of its own, for as long as the `with` body runs."""
    command = [sys.executable, "-m", f"{__package__}.null_server"]
    command += ["--latency", str(link.latency), "--rate", str(link.rate)]
    if certificate:
        command += ["--tls", str(certificate.cert), str(certificate.key)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            ca = str(certificate.ca) if certificate else None
            yield Endpoint(f"{link.scheme}://127.0.0.1:{port}", ca, link.even)
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
    if endpoint.even:
        command += ["--even"]
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
    links: dict[str, Link]
    rounds: int
    size: int
    pythons: dict[str, str]

    def empty_tables(self) -> report.Tables:
        return {
            (name, workload): {
                library: []
                for library in self.libraries
                if LIBRARIES[library].belongs_to(name, workload)
            }
            for name, link in self.links.items()
            for workload in self.workloads
            if workload in link.workloads
        }


def parse() -> tuple[Path | None, Plan]:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--workloads", default="", help=f"of {', '.join(WORKLOADS)}; default all")
    parser.add_argument("--links", default="", help=f"of {', '.join(LINKS)}; default all")
    parser.add_argument("--rounds", type=int, default=0, help="default 5")
    parser.add_argument("--gib", type=float, default=0, help="size of a run; default 1")
    parser.add_argument(
        "--quick", action="store_true", help="one round of 1/8 GiB of the first workload, https"
    )
    parser.add_argument("--latency", type=float, help="seconds before each answer, on every link")
    parser.add_argument("--rate", type=float, help="MiB/s taken per connection, on every link")
    parser.add_argument(
        "--readme", type=Path, help="a file in which the summary between two markers is replaced"
    )
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
    picked = args.links or ("https" if args.quick else ",".join(LINKS))
    given = {name: getattr(args, name) for name in ("latency", "rate")}
    given = {name: value for name, value in given.items() if value is not None}
    return args.readme, Plan(
        libraries=chosen(args.libraries, LIBRARIES, parser),
        workloads=chosen(workloads, WORKLOADS, parser),
        links={name: replace(LINKS[name], **given) for name in chosen(picked, LINKS, parser)},
        rounds=args.rounds or (1 if args.quick else 5),
        size=int((args.gib or (1 / 8 if args.quick else 1)) * GIB),
        pythons=pythons,
    )


def run_all(plan: Plan) -> report.Tables:
    """Every run of the plan, round by round."""
    tables = plan.empty_tables()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificates = {"https": Certificate.issue(directory), "http": None}
        endpoints = {
            name: stack.enter_context(null_server(link, certificates[link.scheme]))
            for name, link in plan.links.items()
        }
        for number in range(plan.rounds):
            for (link, workload), rows in tables.items():
                size = int(plan.size * WORKLOADS[workload].share)
                for name, done in rows.items():
                    if done and done[-1].absent:
                        continue
                    prefix = f"{number}/{name}/{workload}/"
                    run = run_once(
                        plan.pythons[name], name, workload, endpoints[link], size, prefix
                    )
                    done.append(run)
                    told = run.failure or f"{run.cpu:.2f} s CPU, {run.wall:.2f} s"
                    print(number + 1, link, workload, name, told, file=sys.stderr, flush=True)
    return tables


def main() -> int:
    readme, plan = parse()
    tables = run_all(plan)
    about = {name: link.about for name, link in plan.links.items()}
    print(report.whole(tables, about))
    if readme is not None:
        report.replace_summary(readme, tables)
    every = [run for rows in tables.values() for done in rows.values() for run in done]
    return int(any(run.failure and not run.absent for run in every))


if __name__ == "__main__":
    sys.exit(main())
