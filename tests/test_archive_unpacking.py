"""Unpacking into a store: objects are published several at once, behind the reading of the next."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import AccessDeniedError, AlreadyExistsError, IntegrityError
from tests.archives import connection, put
from tests.faults import Answer, Hold, Meanwhile
from tests.looking import assert_nothing, bytes_of, content, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxy import Connection, Proxy
    from tests.servers import Server
    from tests.wire import Exchange

MIB = 1 << 20
PATIENCE_SECONDS = 120


def asks_for(name: str) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.path.endswith(f"/{name}")


@dataclass(frozen=True)
class AnswerAfter(Answer):
    """An S3 error is answered when something has happened."""

    before: Callable[[], object] = lambda: None

    def happen(self, connection: Connection) -> Iterator[bytes]:
        self.before()
        yield from super().happen(connection)


def archived(server: Server, bucket: str, key: str, objects: dict[str, bytes], **more: Any) -> str:
    """The URI of an archive of these."""
    put(server, bucket, {f"{key}/in/{name}": data for name, data in objects.items()}, **more)
    dest = f"s3://{bucket}/{key}/a.tar"
    s3stream.archive(f"s3://{bucket}/{key}/in/", dest, **connection(server))
    return dest


def extracted(server: Server, archive: str, **more: Any) -> s3stream.ArchiveContents:
    """Unpack it beside itself, into `out/`."""
    options: dict[str, Any] = {**connection(server), **more}
    return s3stream.extract(archive, archive.replace("a.tar", "out/"), **options)


def test_objects_are_published_several_at_once_and_all_of_them(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    objects = {f"{number:02}": bytes_of(number) for number in range(12)}
    archive = archived(seaweedfs, bucket, key, objects)
    # Passes only four at a time: with fewer on their way at once this would wait for ever.
    together = threading.Barrier(4)
    proxy.inject("PutObject", Meanwhile(lambda: together.wait(PATIENCE_SECONDS)), times=None)
    assert extracted(proxied, archive).entries == 12
    assert len(proxy.injected) == 12
    for name, data in objects.items():
        assert content(seaweedfs, bucket, f"{key}/out/{name}") == data


@pytest.mark.parametrize("bound", ["memory", "concurrency"])
def test_no_more_are_on_their_way_than_there_is_room_for(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, bound: str
) -> None:
    archive = archived(seaweedfs, bucket, key, {f"{n}": bytes_of(400 << 10) for n in range(6)})
    together = threading.Barrier(2)
    proxy.inject("PutObject", Meanwhile(lambda: together.wait(PATIENCE_SECONDS)), times=None)
    given: dict[str, Any] = {"memory_limit": MIB}
    if bound == "concurrency":
        given = {"dest_options": {**connection(proxied), "max_concurrency": 2}}
    assert extracted(proxied, archive, **given).entries == 6
    assert proxy.in_flight_peak("PutObject") == 2


def test_the_first_error_wins_and_names_the_entry_and_nothing_more_is_begun(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    objects = {"a-large": bytes_of(11 * MIB), "b": b"b", "c": b"c", "d": b"d"}
    archive = archived(seaweedfs, bucket, key, objects)
    hold = Hold()
    proxy.inject("UploadPart", hold, where=lambda exchange: exchange.part_number == 3)
    # When the last part of the large one is on its way.
    before = lambda: proxy.wait_for("UploadPart", 3, timeout=PATIENCE_SECONDS)  # noqa: E731 - it is used once
    refused = AnswerAfter(403, "AccessDenied", before=before)
    proxy.inject("PutObject", refused, times=None, where=asks_for("b"))
    given = {"dest_options": {**connection(proxied), "max_concurrency": 2}}
    with pytest.raises(AccessDeniedError, match=f"{key}/out/b") as raised:
        extracted(proxied, archive, **given)
    assert raised.value.__notes__ == [f"while 'b' of {archive} was unpacked"]
    hold.event.set()
    wait_for_threads(f"{key}/out/a-large")
    assert len(proxy.injected) == 2
    for name in objects:
        assert_nothing(seaweedfs, bucket, f"{key}/out/{name}")
    assert [exchange.path.rpartition("/")[2] for exchange in proxy.of("PutObject")] == ["b"]


def test_an_error_behind_the_last_entry_is_heard_of_too(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    archive = archived(seaweedfs, bucket, key, {"a": b"a", "b": b"b"})
    put(seaweedfs, bucket, {f"{key}/out/b": b"of yesterday"})
    with pytest.raises(AlreadyExistsError, match=f"{key}/out/b") as raised:
        extracted(proxied, archive, dest_options={**connection(proxied), "if_none_match": "*"})
    assert raised.value.__notes__ == [f"while 'b' of {archive} was unpacked"]
    assert content(seaweedfs, bucket, f"{key}/out/b") == b"of yesterday"


def cut_off(server: Server, bucket: str, key: str) -> str:
    """An archive that ends in the middle of its second entry, of which two parts can be sent."""
    archive = archived(server, bucket, key, {"a": b"a", "b": bytes_of(12 * MIB), "c": b"c"})
    whole = content(server, bucket, f"{key}/a.tar")
    put(server, bucket, {f"{key}/a.tar": whole[: 11 * MIB]})
    return archive


def test_what_was_read_before_the_damage_is_published(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    archive = cut_off(seaweedfs, bucket, key)
    # Still on its way when the damage is seen.
    proxy.inject("PutObject", Meanwhile(lambda: until_b_is_given_up(proxy)), where=asks_for("a"))
    with pytest.raises(IntegrityError, match=re.escape(archive)):
        extracted(proxied, archive)
    assert proxy.injected
    assert content(seaweedfs, bucket, f"{key}/out/a") == b"a"
    for name in ("b", "c"):
        assert_nothing(seaweedfs, bucket, f"{key}/out/{name}")


def test_what_is_refused_while_the_damage_is_seen_is_told_too(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    archive = cut_off(seaweedfs, bucket, key)
    refused = AnswerAfter(403, "AccessDenied", before=lambda: until_b_is_given_up(proxy))
    proxy.inject("PutObject", refused, times=None, where=asks_for("a"))
    with pytest.raises(IntegrityError, match=re.escape(archive)) as raised:
        extracted(proxied, archive)
    assert proxy.injected
    (note,) = raised.value.__notes__
    assert note.startswith("and AccessDeniedError: ")
    assert note.endswith(f"; while 'a' of {archive} was unpacked")
    for name in ("a", "b", "c"):
        assert_nothing(seaweedfs, bucket, f"{key}/out/{name}")


def until_b_is_given_up(proxy: Proxy) -> None:
    proxy.wait_for("AbortMultipartUpload", finished=True, timeout=PATIENCE_SECONDS)
