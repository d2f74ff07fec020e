"""One object from its beginning to its end, by one request where nothing goes wrong.

What breaks off is gone on with where it was, and never with the bytes of another version.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import PreconditionError
from ..options import KiB
from ..waiting import Cancellation
from .calls import call
from .failures import CONDITION_FAILED, code_of, status_of, translated
from .parameters import Parameters
from .place import Place

_PIECE = 256 * KiB
# Botocore repeats the call and not the reading of its answer. In a row, without a byte in between.
_READS = 5
_REPLACED = "the object was replaced while it was read"
_BEYOND_THE_END = 416


def download(
    client: Any,
    given: Mapping[str, Any],
    place: Place,
    sized: Callable[[int], object],
    cancellation: Cancellation | None = None,
) -> Generator[bytes, None, None]:
    """Read all of an object, in pieces of at most 256 KiB; `given` are S3 parameters.

    `sized` is told its bytes before the first piece. Raises `PreconditionError` when it was
    replaced meanwhile. To be closed.
    """
    arguments = {**Parameters(client, given).of("GetObject"), **place.arguments}
    size, done, failures = None, 0, 0
    with translated("cannot read", **place.where):
        while size is None or done < size:
            answer = _ask(client, arguments, cancellation, place)
            with closing(answer["Body"]) as body:
                if size is None:
                    size = int(answer["ContentLength"])
                    sized(size)
                    if place.version_id is None:
                        arguments["IfMatch"] = answer["ETag"]
                # Not every store heeds If-Match, nor Range.
                elif answer["ContentLength"] != size - done or (
                    answer["ETag"] != arguments.get("IfMatch", answer["ETag"])
                ):
                    raise PreconditionError(_REPLACED, **place.where)
                while done < size:
                    try:
                        piece = body.read(_PIECE)
                    except BotoCoreError:
                        failures += 1
                        if failures == _READS:
                            raise
                        break
                    failures = 0
                    done += len(piece)
                    yield piece
            if cancellation is not None:
                cancellation.check()
            arguments["Range"] = f"bytes={done}-"


def _ask(
    client: Any, arguments: dict[str, Any], cancellation: Cancellation | None, place: Place
) -> dict[str, Any]:
    try:
        return call(client, "get_object", arguments, cancellation)
    except ClientError as error:
        if code_of(error) in CONDITION_FAILED or status_of(error) == _BEYOND_THE_END:
            raise PreconditionError(_REPLACED, **place.where) from error
        raise
