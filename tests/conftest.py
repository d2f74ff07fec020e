"""What the tests share: real stores, started when first asked for and kept for the session.

S3STREAM_TEST_STORES names the stores for tests that run over several ("all": every one we know).
A store that is asked for and cannot start fails the tests; nothing is skipped in silence.
"""

from __future__ import annotations

import os
import re
import signal
import uuid
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import servers
from tests.proxy import Proxy
from tests.trees import TREE, file_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server

BUCKET = "s3stream-tests"

settings.register_profile("ci", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("ci")


def pytest_configure() -> None:
    """Nothing of the user's own AWS set-up may reach the tests, nor a web proxy the loopback."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        os.environ[name] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    # A process inherits what is ignored: under nohup SIGHUP is, and SIGINT behind a shell's `&`.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def asked_stores() -> list[str]:
    """The names of the stores that were asked for."""
    asked = os.environ.get("S3STREAM_TEST_STORES", "seaweedfs,rclone")
    return list(servers.NAMES) if asked == "all" else [name.strip() for name in asked.split(",")]


@pytest.fixture(scope="session")
def server_named() -> Iterator[Callable[[str], Server]]:
    """Gives the server of a name: started at the first call, with BUCKET in it, and then kept."""
    running: dict[str, Server] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:

        def server_named(name: str) -> Server:
            if name in failed:  # do not wait for the same failure before every test
                pytest.fail(failed[name], pytrace=False)
            if name not in running:
                try:
                    server = stack.enter_context(servers.start(name))
                except servers.ServerError as error:
                    failed[name] = str(error)
                    pytest.fail(failed[name], pytrace=False)
                server.client().create_bucket(Bucket=BUCKET)
                running[name] = server
            return running[name]

        yield server_named


@pytest.fixture(scope="session")
def seaweedfs(server_named: Callable[[str], Server]) -> Server:
    """The store of every test that needs one store only."""
    return server_named("seaweedfs")


@pytest.fixture(scope="session", params=asked_stores())
def store(request: pytest.FixtureRequest, server_named: Callable[[str], Server]) -> Server:
    """Each store in turn."""
    return server_named(request.param)


@pytest.fixture(scope="session")
def bucket() -> str:
    """The bucket that every store has. Making one takes time: share it, under keys of your own."""
    return BUCKET


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key which no other test uses, and which says whose it is."""
    name = re.sub(r"[^A-Za-z0-9.=-]+", "_", request.node.name).strip("_")
    return f"{name[:100]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    """A fault proxy before SeaweedFS, for this test alone."""
    with Proxy(seaweedfs.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def proxied(seaweedfs: Server, proxy: Proxy) -> Server:
    """SeaweedFS as seen through `proxy`."""
    return replace(seaweedfs, endpoint_url=proxy.url, https_url=None)


@pytest.fixture
def fs(store: Server) -> Any:
    return file_system(store)


@pytest.fixture
def sea(seaweedfs: Server) -> Any:
    """For what does not depend on the store."""
    return file_system(seaweedfs)


@pytest.fixture
def root(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"


@pytest.fixture
def tree(store: Server, bucket: str, key: str) -> str:
    """TREE at the store, put there by another client; where."""
    for name, body in TREE.items():
        store.client().put_object(Bucket=bucket, Key=f"{key}/{name}", Body=body)
    return f"{bucket}/{key}"


@pytest.fixture
def new_bucket(store: Server, key: str) -> Iterator[str]:
    """The name of a bucket that is not there; what a test leaves in it is removed."""
    name = "s3stream-" + key.rpartition("-")[2]
    yield name
    client = store.client()
    if name in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        for found in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=found["Key"])
        client.delete_bucket(Bucket=name)
