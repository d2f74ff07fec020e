"""The tus server's answers: one method for each request, between HTTP and what does the work.

Must not know S3 calls, threads, nor what stands in a header.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ..errors import (
    AlreadyExistsError,
    LockedError,
    NotFoundError,
    PreconditionError,
    S3StreamError,
    TooLargeError,
    UsageError,
)
from .creating import Creating
from .ledger import Ledger
from .protocol import (
    CHECKSUMS,
    EXTENSIONS,
    OFFSET,
    VERSION,
    Patch,
    Refused,
    check_once,
    check_version,
    is_id,
    method_of,
    patch_of,
)
from .record import Kind, Record, Status, name_of
from .shelf import Held
from .standing import is_gone, offset_of, published
from .sweeping import remove
from .work import Work, expires
from .writing import Writing, refuse_if_over

Answer = Callable[[Request], Awaitable[Response]]

_LOCKED, _UNAVAILABLE = 423, 503

_log = logging.getLogger("s3stream")


class Serving:
    """Answers the requests of one server."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._shelf = work.shelf
        self._create = Creating(work)

    async def uploads(self, request: Request) -> Response:
        """The URL at which uploads are made."""
        return await self._answer(request, {"OPTIONS": self._options, "POST": self._create})

    async def upload(self, request: Request) -> Response:
        """The URL of one upload."""
        methods = {
            "OPTIONS": self._options,
            "HEAD": self._head,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        return await self._answer(request, methods)

    async def _answer(self, request: Request, methods: Mapping[str, Answer]) -> Response:
        method = request.method
        try:
            check_once(request.headers.keys())
            method = method_of(method, request.headers)
            if method not in methods:
                allowed = ", ".join(methods)
                raise Refused(405, f"{method}: expected one of {allowed}", {"Allow": allowed})
            if method != "OPTIONS":
                check_version(request.headers)
            with self._work.one():
                response = await methods[method](request)
        except Refused as refused:
            response = _said(refused, method)
        except S3StreamError as error:
            response = _said(self._refusal_for(error, request), method)
        response.headers["Tus-Resumable"] = VERSION
        response.headers["Cache-Control"] = "no-store"  # or a 404 and a 410 may be kept, too
        return response

    async def _options(self, request: Request) -> Response:
        return Response(
            status_code=204,
            headers={
                "Tus-Version": VERSION,
                "Tus-Extension": ",".join(EXTENSIONS),
                "Tus-Max-Size": str(self._work.rules.max_size),
                "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
            },
        )

    async def _head(self, request: Request) -> Response:
        held = await self._work.run(self._shelf.read, name_of(_id_in(request)))
        record = held.record
        refuse_if_over(record, time.time())
        headers = {}
        if record.kind is Kind.FINAL:
            record = await self._joined(request, held)
            if record.status is Status.FINISHED:
                headers[OFFSET] = str(record.offset)
        else:
            record, offset = await self._stand(request, held)
            headers[OFFSET] = str(offset)
        if record.length is None:
            headers["Upload-Defer-Length"] = "1"
        else:
            headers["Upload-Length"] = str(record.length)
        if record.metadata:
            headers["Upload-Metadata"] = record.metadata
        if record.concat:
            headers["Upload-Concat"] = record.concat
        return Response(headers={**headers, **expires(record)})

    async def _stand(self, request: Request, held: Held) -> tuple[Record, int]:
        """The record of an upload and its offset, as the store has it.

        One that has all its bytes and was never published is published now: nobody else would, for
        its client, who is told that they are there, sends no more.
        """
        record = held.record
        try:
            offset = await self._work.run(offset_of, self._shelf, record)
        except NotFoundError as error:
            if not is_gone(error):
                raise
            offset = record.offset
        else:
            if record.status is Status.FINISHED or offset != record.length:
                return record, offset
        writing = self._writing(held.name, Patch(offset, 0, None, None))
        try:
            await self._work.write(request, writing, _id_in(request), with_body=False)
        except Refused as refused:
            # It has moved since: the request that we waited for has published it, or we have.
            if OFFSET not in refused.headers:
                raise
            return writing.record, int(refused.headers[OFFSET])
        return writing.record, writing.record.offset

    async def _joined(self, request: Request, held: Held) -> Record:
        """The record of an upload that is made of others; published ones are finished now."""
        record = held.record
        if record.status is Status.FINISHED or (
            await self._work.run(published, self._shelf, record) is None
        ):
            return record
        record, finished_here = await self._work.run(self._finish, held.name)
        if finished_here:
            await self._work.tell(request, _id_in(request), record)
        return record

    def _finish(self, name: str) -> tuple[Record, bool]:
        with self._shelf.held(name) as held:
            found = None
            if held.record.status is not Status.FINISHED:
                found = published(self._shelf, held.record)
            if found is not None:
                Ledger(self._shelf, held).finish(found)
            return held.record, found is not None

    async def _patch(self, request: Request) -> Response:
        patch = patch_of(request.headers, self._work.rules.max_size)
        upload_id = _id_in(request)
        writing = self._writing(name_of(upload_id), patch)
        await self._work.write(request, writing, upload_id, with_body=True)
        record = writing.record
        headers = {OFFSET: str(record.offset), **expires(record)}
        return Response(status_code=204, headers=headers)

    async def _delete(self, request: Request) -> Response:
        await self._work.run(self._remove, name_of(_id_in(request)))
        return Response(status_code=204)

    def _remove(self, name: str) -> None:
        with self._shelf.held(name) as held:
            remove(self._shelf, held, with_object=True)

    def _writing(self, name: str, patch: Patch) -> Writing:
        rules = self._work.rules
        return Writing(self._shelf, name, patch, rules.max_size, rules.expiry)

    def _refusal_for(self, error: S3StreamError, request: Request) -> Refused:
        """What a client hears of an error of the store: what to do. What it was, the log says."""
        if isinstance(error, LockedError):
            return Refused(
                _LOCKED, "another request is about this upload; ask again", {"Retry-After": "1"}
            )
        if isinstance(error, TooLargeError) and self._shelf.options.spool is not False:
            return Refused(413, "the store takes no object of this size")
        if isinstance(error, (AlreadyExistsError, PreconditionError)):
            return Refused(403, "there is an object of this name, and it is not to be replaced")
        if isinstance(error, UsageError):
            raise error  # the server's own mistake: 500, and its traceback in the log
        _log.error("tus: %s: %s", request.method, error)
        return Refused(
            _UNAVAILABLE,
            "the store did not take it; ask with HEAD from where to go on",
            {"Retry-After": "1"},
        )


def _id_in(request: Request) -> str:
    upload_id: str = request.path_params["upload_id"]
    if not is_id(upload_id):
        raise Refused(404, "there is no such upload")
    return upload_id


def _said(refused: Refused, method: str) -> Response:
    status = refused.status
    if method == "HEAD" and status == _UNAVAILABLE:
        # Of all that HEAD may hear, tus-js-client asks again for this one only; for any other it
        # begins the whole upload anew.
        status = _LOCKED
    return PlainTextResponse(f"{refused.sentence}\n", status, refused.headers)
