"""Fewer parts at once when the store says SlowDown, more again when it does not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import s3stream
from s3stream.pace import Pace, pace_of
from tests.faults import Answer, Delay
from tests.looking import bytes_of, content, uploads
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server

KIB = 1 << 10
SLOW_DOWN = Answer(503, "SlowDown")


def _entered(pace: Pace, wanted: int) -> int:
    return sum(pace.try_enter() for _ in range(wanted))


def test_without_a_word_from_the_store_there_is_no_bound() -> None:
    pace = Pace()
    assert pace.limit == math.inf
    assert _entered(pace, 1_000) == 1_000


def test_a_slow_down_halves_what_was_under_way() -> None:
    pace = Pace()
    _entered(pace, 10)
    pace.slow_down()
    assert pace.limit == 5
    for _ in range(5):
        assert not pace.try_enter()
        pace.leave(succeeded=False)
    assert not pace.try_enter()
    pace.leave(succeeded=False)
    assert pace.try_enter()


def test_requests_that_were_sent_together_halve_it_once() -> None:
    pace = Pace()
    _entered(pace, 16)
    for _ in range(16):
        pace.slow_down()
    assert pace.limit == 8
    for _ in range(16):
        pace.leave(succeeded=False)
    assert _entered(pace, 16) == 8
    pace.slow_down()  # these were sent at the new pace
    assert pace.limit == 4


def test_it_climbs_by_one_when_all_that_were_allowed_have_succeeded() -> None:
    pace = Pace()
    _entered(pace, 8)
    pace.slow_down()
    for _ in range(8):
        pace.leave(succeeded=False)
    assert pace.limit == 4
    assert _entered(pace, 9) == 4
    for _ in range(4):
        pace.leave(succeeded=True)
    assert 4.8 < pace.limit < 5.01
    assert _entered(pace, 9) == 4
    for _ in range(4):
        pace.leave(succeeded=True)
    assert 5.5 < pace.limit < 6


def test_one_request_is_always_allowed() -> None:
    pace = Pace()
    for _ in range(5):
        assert pace.try_enter()
        pace.slow_down()
        pace.leave(succeeded=False)
    assert pace.limit == 1


def test_all_writers_to_an_endpoint_share_one_pace() -> None:
    assert pace_of("http://one.example") is pace_of("http://one.example")
    assert pace_of("http://one.example") is not pace_of("http://two.example")


def test_a_store_that_refuses_more_than_three_at_once_gets_three(
    server_named: Callable[[str], Server], bucket: str, key: str
) -> None:
    store = server_named("rclone")  # which takes small parts
    parts, most = 120, 3
    with Proxy(store.endpoint_url) as proxy:
        proxy.inject(
            "UploadPart", SLOW_DOWN, times=None, where=lambda x: proxy.in_flight(x.operation) > most
        )
        proxy.inject("UploadPart", Delay(0.02), times=None)
        options = replace(store, endpoint_url=proxy.url).storage_options()
        with s3stream.open(
            f"s3://{bucket}/{key}",
            min_part_size=4 * KIB,
            part_size=4 * KIB,
            max_concurrency=16,
            equal_parts=True,
            **options,
        ) as file:
            file.write(bytes_of(parts * 4 * KIB))
        refused = [x for x in proxy.of("UploadPart") if x.fault is SLOW_DOWN]
        # Sixteen threads that only repeat would be refused several times a part.
        assert 0 < len(refused) < parts // 2
        late = proxy.of("UploadPart")[-parts // 2 :]
        assert len([x for x in late if x.fault is SLOW_DOWN]) < parts // 6
        assert 1 <= pace_of(proxy.url).limit < 8
    assert content(store, bucket, key) == bytes_of(parts * 4 * KIB)
    assert uploads(store, bucket, key) == []
