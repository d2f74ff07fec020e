"""The uploads of a dataset: how each stands, and what the store is asked of many at once.

Says what has come of each. Must not know when any of them may be published or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .cleanup import when_settled
from .completing import is_gone, is_refused, look, publish
from .errors import S3StreamError, UncertainError
from .fs import S3StreamFileSystem
from .prepared import PreparedUpload
from .sender import Sender
from .state import Event, Phase, Receipt, UploadResult, UploadState
from .store import Origin, Target, is_upload_gone

# Seconds that a Ctrl-C waits for what is on its way to the store.
_INTERRUPTED_SECONDS = 2.0

# Neither published nor removed, for certain.
OPEN = frozenset({Phase.STREAMING, Phase.PREPARED})


class Member:
    """One prepared upload, how it stands, and what was said of it last (None: nothing)."""

    def __init__(self, receipt: PreparedUpload) -> None:
        self.receipt = receipt
        self.said: Any = None
        self._state = UploadState()
        self._state.take_up(receipt.upload_id, receipt.parts)
        self._was_uncertain = False

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self._state.phase

    @property
    def result(self) -> UploadResult | None:
        """The object, None until it is there."""
        return self._state.result

    @property
    def is_gone(self) -> bool:
        """Whether it was seen that there is neither the upload nor an object of it."""
        return isinstance(self.said, S3StreamError) and is_gone(self.said)

    def begin(self) -> None:
        """Its Complete is on its way."""
        self._was_uncertain = self.phase is Phase.UNCERTAIN
        self._state.on(Event.PUBLISH)

    def hear_of_look(self) -> None:
        """Take in what was seen of it: its parts, the object, an error, or nothing."""
        said = self.said
        if isinstance(said, UploadResult):  # somebody has published it already
            self._prepare()
            if self.phase is Phase.PREPARED:
                self.begin()
            self._state.commit(said)
        elif isinstance(said, UncertainError) and self.phase in OPEN:
            # Somebody has ended it, and nobody can tell how.
            self._prepare()
            self.begin()
            self._state.lose_sight(said)
        elif self.is_gone and self.phase is Phase.UNCERTAIN:
            self._state.on(Event.REFUSE)
        elif isinstance(said, list):
            self._prepare()

    def hear_of_commit(self) -> None:
        """Take in what has come of its Complete, if that was begun."""
        if self.phase is not Phase.COMMITTING:
            return
        said = self.said
        if isinstance(said, UploadResult):
            self._state.commit(said)
        elif isinstance(said, S3StreamError) and self._is_not_published(said):
            self._state.on(Event.REFUSE)
        else:
            # Nothing was said where an interrupt has ended the wait.
            self._state.lose_sight(said or UncertainError("its answer was not waited for"))

    def _is_not_published(self, said: S3StreamError) -> bool:
        # That a second Complete was refused says nothing of the first.
        return is_gone(said) or (is_refused(said) and not self._was_uncertain)

    def hear_of_removal(self) -> None:
        """It is gone."""
        self._state.on(Event.DISCARD)

    def _prepare(self) -> None:
        if self.phase is Phase.STREAMING:
            self._state.on(Event.PREPARE)


class Members:
    """All of them, in the order in which they came; each once.

    What they are asked in common is asked of several at once. What was said of each is in its
    `said` then: a value or an `S3StreamError`. One that is of one member alone stops no other; any
    else has the rest not asked. An interrupt waits a little for what is on its way.
    """

    def __init__(self, fs: S3StreamFileSystem) -> None:
        self._fs = fs
        self._by_name: dict[tuple[str, str, str], Member] = {}
        self._ids: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_name.values()))

    def keep(self, receipt: PreparedUpload) -> Member:
        """The member that this receipt is of, from now on if not before.

        Raises `UsageError` for S3 parameters that cannot be.
        """
        self._target(receipt)
        name = (receipt.bucket, receipt.key, receipt.upload_id)
        if name not in self._by_name:
            self._by_name[name] = Member(receipt)
            self._ids.setdefault(receipt.uri, []).append(receipt.upload_id)
        return self._by_name[name]

    def forget(self, receipt: PreparedUpload) -> None:
        """It is none of them any more."""
        del self._by_name[receipt.bucket, receipt.key, receipt.upload_id]
        self._ids[receipt.uri].remove(receipt.upload_id)

    def uploads_of(self, uri: str) -> list[str]:
        """The ids of the uploads of one object: of more than one only one may be published."""
        return self._ids[uri]

    def look(self) -> None:
        """See of all that are not published whether the store has just their parts."""
        asked = [member for member in self if member.phase is not Phase.COMMITTED]
        self._at_once(asked, self._looked_at)
        for member in asked:
            member.hear_of_look()
            self._forget_listings(member)

    def publish(self) -> None:
        """Complete all that are not published, until one cannot be."""
        asked = [member for member in self if member.phase is not Phase.COMMITTED]
        try:
            self._at_once(asked, self._completed, Member.begin)
        finally:
            for member in asked:
                member.hear_of_commit()
                self._forget_listings(member)

    def find_published(self, members: list[Member]) -> list[Member]:
        """Of those that are neither published nor removed, as far as we know, those that may be."""
        asked = [member for member in members if member.phase in OPEN and not member.is_gone]
        self._at_once(asked, self._published_before)
        for member in asked:
            member.hear_of_look()
            self._forget_listings(member)
        return [member for member in asked if member.phase not in OPEN]

    def remove(self, members: list[Member]) -> list[S3StreamError]:
        """Abort those that are neither published nor uncertain; the errors of those still there."""
        asked = [member for member in members if member.phase in OPEN]
        self._at_once(asked, self._removed)
        for member in asked:
            if member.said is True:
                member.hear_of_removal()
        return [member.said for member in asked if isinstance(member.said, S3StreamError)]

    def _looked_at(self, member: Member) -> list[Receipt] | UploadResult | S3StreamError:
        receipt = member.receipt
        known = {part.part_number: part for part in receipt.parts}
        try:
            # Its parts were cut by whoever has written it: how small they are is no question here.
            return look(
                self._target(receipt),
                receipt.upload_id,
                known,
                strictly=True,
                min_part_size=0,
                now=True,
            )
        except S3StreamError as error:
            if error.__cause__ is None or is_gone(error) or isinstance(error, UncertainError):
                return error  # of this one alone
            raise

    def _completed(self, member: Member) -> UploadResult:
        receipt = member.receipt
        return publish(self._target(receipt), receipt.upload_id, list(receipt.parts), now=True)

    def _published_before(self, member: Member) -> UploadResult | S3StreamError | None:
        receipt = member.receipt
        target = self._target(receipt)
        try:
            target.list_parts(receipt.upload_id)
        except S3StreamError as error:
            if not is_upload_gone(error):
                return error
            try:
                return target.find(receipt.upload_id, list(receipt.parts), receipt.size, now=True)
            except UncertainError as unknown:
                return unknown
        return None

    def _removed(self, member: Member) -> bool | S3StreamError:
        try:
            self._target(member.receipt).abort(member.receipt.upload_id)
        except S3StreamError as error:
            return error
        return True

    def _target(self, receipt: PreparedUpload) -> Target:
        # Made anew each time: a forked child has a client of its own.
        options = self._fs._write_options(
            {
                "checksum": receipt.checksum,
                "if_match": receipt.if_match,
                "if_none_match": receipt.if_none_match,
                **receipt.parameters,
            }
        )
        origin = Origin(receipt.writer_id)
        return Target(self._fs.client, receipt.bucket, receipt.key, options, origin=origin)

    def _forget_listings(self, member: Member) -> None:
        if member.phase is not Phase.STREAMING:
            self._fs.invalidate_cache(f"{member.receipt.bucket}/{member.receipt.key}")

    def _at_once(
        self,
        members: list[Member],
        work: Callable[[Member], object],
        begin: Callable[[Member], None] | None = None,
    ) -> None:
        for member in members:
            member.said = None
        if not members:
            return
        target = self._target(members[0].receipt)
        concurrency = min(self._fs._write_options({}).max_concurrency, target.connections)
        sender: Sender[None] = Sender(concurrency, "s3stream dataset", target.pace)

        def do(member: Member) -> None:
            try:
                member.said = work(member)
            except BaseException as error:
                member.said = error
                raise

        try:
            for member in members:
                placed = None if begin is None else partial(begin, member)
                if not sender.submit(partial(do, member), placed):
                    break
            sender.settle()
        except BaseException:
            sender.settle(_INTERRUPTED_SECONDS)
            when_settled(sender, "what a dataset has asked of the store", lambda: None)
            raise
        for member in members:
            if not isinstance(member.said, S3StreamError) and isinstance(
                member.said, BaseException
            ):
                raise member.said
