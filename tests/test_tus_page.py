"""The page of examples/tus in a browser: bar, pause, resume, and going on after a reload."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults import HoldInBody
from tests.looking import bytes_of, content, uploads
from tests.proxy import Proxy
from tests.tus import Client, below, finished, serving
from tests.tus_clients.browser import Page, chromium
from tests.tus_clients.example import running
from tests.tus_clients.node import PAGE, install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webdriver import WebDriver

    from tests.servers import Server
    from tests.tus_clients.example import Example

MIB = 1 << 20
PREFIX = "tus-page/"
# More than sockets take in without anybody reading: a browser is never done before the proxy is.
SIZE = 32 * MIB
HELD_AFTER = 8 * MIB


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def server(
    seaweedfs: Server,
    bucket: str,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Example]:
    """The example as it stands there, with what `npm ci` installs."""
    modules = install(pytestconfig.cache.mkdir("tus-js-client"))
    folder = tmp_path_factory.mktemp("example") / "tus"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(modules)
    command = (str(folder / "serve.py"), f"s3://{bucket}/{PREFIX}", "0")
    with running(seaweedfs, *command) as server:
        yield server


@pytest.fixture
def before(server: Example) -> Iterator[Proxy]:
    """A fault proxy between browser and server; the browser has never seen its address."""
    with Proxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def page(browser: WebDriver, before: Proxy) -> Page:
    return Page(browser, f"{before.url}/")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes_of(SIZE))
    return path


def path_of(before: Proxy) -> str:
    """The path of the one upload that there was."""
    (path,) = {sent.path for sent in before.of("PATCH")}
    return path


def check(store: Server, bucket: str, before: Proxy, film: Path) -> None:
    """The film is there, whole, as what the browser has said it to be; and nothing beside."""
    upload_id = path_of(before).rpartition("/")[2]
    key = PREFIX + hashlib.sha256(upload_id.encode()).hexdigest()
    assert content(store, bucket, key) == film.read_bytes()
    assert uploads(store, bucket, key) == []
    head = store.client().head_object(Bucket=bucket, Key=key)
    assert head["ContentType"] == "video/mp4"
    assert head["Metadata"] == {"filename": "film.mp4"}


def settled_offset(server: Example, before: Proxy) -> int:
    """The server's offset when it is done with what came: it takes the next PATCH, an empty one."""
    client, path = Client(server.url), path_of(before)
    while True:
        offset = client.offset(path)
        if client.patch(path, offset, b"").status == 204:
            return offset


def test_a_file_is_sent_paused_and_resumed(
    page: Page, before: Proxy, server: Example, seaweedfs: Server, bucket: str, film: Path
) -> None:
    assert (page.bar, page.button) == (0, "")
    before.inject("PATCH", hold := HoldInBody(after=HELD_AFTER))
    page.choose(film)
    page.wait_until(lambda page: page.bar >= HELD_AFTER / SIZE)
    assert page.bar < 1
    assert page.status.endswith(f" of {SIZE // MIB}.0 MiB")

    page.click("Pause")
    page.wait_until(lambda page: page.button == "Resume")
    assert page.status.startswith("Paused at ")
    # The request was really given up: it ends, unanswered, though the proxy takes all of it now.
    hold.release()
    before.wait_for("PATCH", finished=True, timeout=100)
    (paused,) = before.of("PATCH")
    assert (paused.fault, paused.status) == (hold, None)
    offset = settled_offset(server, before)
    assert 5 * MIB <= offset < SIZE

    page.click("Resume")
    page.wait_until(lambda page: page.bar == 1)
    page.wait_until(lambda page: page.status == "film.mp4 is there.")
    assert page.button == ""
    # It rested: the browser has gone on from there, and has sent nothing in between.
    (_, resumed) = before.of("PATCH")
    assert int(resumed.request_headers["upload-offset"]) == offset
    check(seaweedfs, bucket, before, film)


def test_a_reload_loses_nothing(
    page: Page, before: Proxy, server: Example, seaweedfs: Server, bucket: str, film: Path
) -> None:
    before.inject("PATCH", hold := HoldInBody(after=HELD_AFTER))
    page.choose(film)
    page.wait_until(lambda page: page.bar >= HELD_AFTER / SIZE)
    page.reload()
    hold.release()
    before.wait_for("PATCH", finished=True, timeout=100)
    offset = settled_offset(server, before)
    assert 5 * MIB <= offset < SIZE
    assert page.bar == 0

    page.choose(film)
    page.wait_until(lambda page: page.status == "film.mp4 is there.")
    (broken, resumed) = before.of("PATCH")
    assert broken.status is None
    assert int(resumed.request_headers["upload-offset"]) == offset
    check(seaweedfs, bucket, before, film)


# In pieces, so that every kind of answer must be readable for the page: 201, 200 and 204.
UPLOAD = """
    const [endpoint, done] = arguments;
    const upload = new tus.Upload(new Blob(["from elsewhere"]), {
        endpoint, chunkSize: 5, metadata: {filename: "a.txt"}, retryDelays: null,
        onChunkComplete(size, accepted) {
            if (accepted === 10) upload.abort().then(() => upload.start());
        },
        onSuccess() { done(upload.url); },
        onError(error) { done(error.message); },
    });
    upload.start();
"""


def test_pages_of_other_origins_upload_where_they_are_allowed_to(
    browser: WebDriver, server: Example, seaweedfs: Server, bucket: str, key: str
) -> None:
    origin = server.url.replace("127.0.0.1", "localhost")
    browser.set_script_timeout(100)
    browser.get(f"{origin}/")
    with serving(seaweedfs, bucket, key, cors=[origin]) as client:
        said = browser.execute_async_script(UPLOAD, client.url)
        assert said.startswith(f"{client.url}/"), said
    (there,) = finished(seaweedfs, bucket, key)
    assert content(seaweedfs, bucket, there) == b"from elsewhere"

    with serving(seaweedfs, bucket, f"{key}-2", cors=["http://example.test"]) as client:
        said = browser.execute_async_script(UPLOAD, client.url)
        assert said.startswith("tus: failed to create upload"), said
    assert below(seaweedfs, bucket, f"{key}-2") == {}
