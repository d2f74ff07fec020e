"""How an upload comes to be: the answer to a POST, with its bytes or made of others.

Whatever goes wrong before its client knows the URL leaves nothing at the store. Must not know S3
calls, nor threads.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from ..errors import S3StreamError, UsageError, attach
from ..store import Target
from .describing import check_key
from .joining import Joining, Source
from .ledger import Ledger
from .protocol import OFFSET, Creation, Patch, Refused, checksum_of, creation_of
from .record import Kind, Record, Status, name_of
from .shelf import Held
from .standing import options_for
from .sweeping import remove
from .work import Work, described, expires
from .writing import Writing


class Creating:
    """Answers the POSTs of one server."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._shelf = work.shelf
        self._rules = work.rules

    async def __call__(self, request: Request) -> Response:
        """Make the upload that a request describes."""
        creation = creation_of(request.headers, self._rules.max_size)
        checksum = checksum_of(request.headers)
        upload_id = secrets.token_hex(16)
        record = self._record(request, upload_id, creation)
        sources = await self._work.run(self._sources, creation.parts)
        if creation.parts:
            record = replace(record, length=self._length_of(sources))
        if self._rules.before_create is not None:
            await self._rules.before_create(described(request, self._shelf, upload_id, record))
        held = await self._work.run(self._shelf.create, upload_id, record)
        try:
            if creation.parts:
                held = await self._work.run(self._join, held.name, sources)
                await self._work.tell(request, upload_id, held.record)
            elif creation.carries_bytes or creation.length == 0:
                patch = Patch(0, None, None, checksum)
                writing = Writing(
                    self._shelf, held.name, patch, self._rules.max_size, self._rules.expiry
                )
                await self._work.write(request, writing, upload_id, with_body=True)
                held = writing.held
        except BaseException as error:
            await self._work.run(self._undo, held.name, error)
            raise
        record = held.record
        headers = {"Location": f"{quote(request.scope['path'].rstrip('/'))}/{upload_id}"}
        if creation.carries_bytes:
            headers[OFFSET] = str(record.offset)
        return Response(status_code=201, headers={**headers, **expires(record)})

    def _record(self, request: Request, upload_id: str, creation: Creation) -> Record:
        """Write down what is asked for. Raises `Refused` (400) for what S3 could not keep."""
        kind = Kind.WHOLE
        if creation.partial:
            kind = Kind.PARTIAL
        elif creation.parts:
            kind = Kind.FINAL
        record = Record(
            "",
            creation.length,
            creation.raw_metadata,
            kind,
            creation.raw_concat,
            self._rules.expiry(),
        )
        if creation.partial:
            key = self._shelf.key_of_part(name_of(upload_id))
        else:
            upload = described(request, self._shelf, upload_id, record)
            key = check_key(self._rules.naming(upload), self._shelf.prefix)
        record = replace(record, key=key)
        options = options_for(self._shelf, record)
        try:
            Target(self._shelf.fs.client, self._shelf.bucket, key, options)
        except UsageError as error:
            raise Refused(400, "the file's name is too long for a key") from error
        return record

    def _sources(self, ids: tuple[str, ...]) -> list[Source]:
        return [self._source(name_of(upload_id)) for upload_id in ids]

    def _source(self, name: str) -> Source:
        try:
            record = self._shelf.read(name).record
        except Refused as refused:
            raise Refused(400, "Upload-Concat: one of the parts is not there") from refused
        if record.kind is not Kind.PARTIAL or record.is_expired(time.time()):
            raise Refused(400, "Upload-Concat: one of the uploads is no part, or has expired")
        if record.status is not Status.FINISHED:
            raise Refused(400, "Upload-Concat: one of the parts has not all its bytes yet")
        return Source(record.key, record.offset, record.etag or "")

    def _length_of(self, sources: list[Source]) -> int:
        length = sum(source.size for source in sources)
        if length > self._rules.max_size:
            raise Refused(413, f"the parts have {length:,} bytes, at most {self._rules.max_size:,}")
        return length

    def _join(self, name: str, sources: list[Source]) -> Held:
        with self._shelf.held(name) as held:
            record = held.record
            ledger = Ledger(self._shelf, held)
            ledger.accept(record.length, self._rules.expiry)
            options = options_for(self._shelf, record)
            ledger.finish(Joining(self._shelf, record.key, options, sources).run(ledger))
        return held

    def _undo(self, name: str, error: BaseException) -> None:
        try:
            with self._shelf.held(name) as held:
                # Where only a hook has failed, the object is there, and was told of.
                if held.record.status is Status.OPEN:
                    remove(self._shelf, held, with_object=True)
        except (S3StreamError, Refused) as failed:
            # It will expire.
            attach(error, failed)
