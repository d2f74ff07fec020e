"""Files that were prepared anywhere, published together: all of them, or none.

Decides when the first may be published and what may be removed, and says what has become of each.
Must not know who has written them, nor how the store is asked.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NoReturn

from .errors import S3StreamError, UncertainError, UsageError, add_note, attach
from .fs import S3StreamFileSystem, take_connection
from .members import OPEN, Member, Members
from .opened import first_foreign_line
from .prepared import PreparedUpload
from .state import Phase, UploadResult

# So many names stand in a message; the properties have them all.
_NAMED = 20


class Dataset:
    """Objects that appear together: the uploads of the `PreparedUpload`s that it is given.

    The end of its `with` body publishes all. A body that raises, or one upload that is not whole,
    removes all, and nothing was published: unless the store shows that some are, as when another
    driver has died between two of them; then the rest is kept, and the error says so. `complete()`
    and `abort()` do it by hand.

    `options` are those of a file system: the connection's (`endpoint_url=`, `profile=`, …; no
    receipt holds any), `max_concurrency` (uploads looked at, published or removed at once) and S3's
    own parameters, such as the SSE-C key that the files were written with. `client` is a boto3
    client. Raises `UsageError` before any request when one is wrong. Not for two threads at once.

    One that ends with neither `complete()` nor `abort()`, forgotten or with its process, removes
    nothing: a `RuntimeWarning` says what it leaves.
    """

    def __init__(
        self,
        receipts: Iterable[PreparedUpload] = (),
        *,
        client: Any = None,
        **options: Any,
    ) -> None:
        connection = take_connection(client, options)
        self._members = Members(S3StreamFileSystem(**connection, **options))
        self._made_at = first_foreign_line()
        self._unsaid = self._say_at_the_end()
        for receipt in receipts:
            self.add(receipt)

    def add(self, receipt: PreparedUpload) -> None:
        """Make a prepared upload one of the dataset; one that it has already changes nothing.

        Asks nothing of the store. Raises `UsageError` for anything else; and for a second upload of
        the same object (a task that ran twice, perhaps), which is one of the dataset all the same:
        `discard()` one of the two, for `complete()` refuses both.
        """
        given: object = receipt
        if not isinstance(given, PreparedUpload):
            raise UsageError(f"{receipt!r}: expected what prepare() of a file has returned")
        self._members.keep(receipt)
        if not self._unsaid.alive:
            self._unsaid = self._say_at_the_end()
        self._refuse_two_of(receipt.uri)

    def complete(self) -> list[UploadResult]:
        """Publish all, in the order in which they were added; a second time returns the same.

        First the store is asked of every upload whether it has just the parts of its receipt; only
        when all are whole the first is published. One that was published already, by whomever, is
        passed over when the object there is proved to be made of these parts: so a driver that has
        died can be followed by another one with the same receipts.

        Removes nothing. When nothing was published, raises the first error; when one could not be
        published after others were, an `S3StreamError` that names what is published, what is not,
        and of what nobody knows. It may be called again then. `UsageError` for two uploads of one
        object, or one that was aborted, before anything is asked.
        """
        self._unsaid.detach()
        try:
            return self._complete()
        except BaseException as error:
            if not self._may_have_begun() and not isinstance(error, UsageError):
                add_note(
                    error,
                    f"nothing was published; the {len(self.unpublished):,} prepared uploads are"
                    " kept: complete() again, or abort()",
                )
            raise

    def abort(self) -> None:
        """Remove all that is not published; what is published stays.

        Raises, after trying all, the first error of those that are still there; `UncertainError`
        for one of which nobody knows whether it is published, and which is left alone: `complete()`
        finds it out; `S3StreamError` when another process has published some, which are in
        `published` from then on.
        """
        self._unsaid.detach()
        self._abort(list(self._members))

    def discard(self, receipt: PreparedUpload) -> None:
        """Remove one upload, and take it out of the dataset: as one of two of the same object.

        Raises as `abort` does, and then it stays in the dataset; `ValueError` when it is published.
        """
        member = self._members.keep(receipt)
        if member.phase is Phase.COMMITTED:
            raise ValueError(f"{receipt.uri} is published: there is nothing to discard")
        self._abort([member])
        self._members.forget(receipt)

    @property
    def published(self) -> list[UploadResult]:
        """The objects that are there, as far as this process knows."""
        return [member.result for member in self._members if member.result is not None]

    @property
    def unpublished(self) -> list[PreparedUpload]:
        """The uploads that are neither published nor removed, as far as this process knows."""
        return [member.receipt for member in self._members if member.phase in OPEN]

    @property
    def uncertain(self) -> list[PreparedUpload]:
        """The uploads of which nobody knows whether they are published."""
        return [member.receipt for member in self._members if member.phase is Phase.UNCERTAIN]

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unsaid.detach()
        if error is not None:
            self._abort_because_of(error)
            return
        try:
            self._complete()
        except BaseException as failure:
            self._abort_because_of(failure)
            raise

    def __repr__(self) -> str:
        return (
            f"<Dataset: {len(self.published):,} published, {len(self.unpublished):,} prepared,"
            f" {len(self.uncertain):,} uncertain>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle {self!r}: what is added to a copy would be lost; send what prepare()"
            " returns to the process that has the dataset"
        )

    def _say_at_the_end(self) -> weakref.finalize[[Members, str, int], Dataset]:
        """Until somebody has asked for an end, whose outcome is said there."""
        return weakref.finalize(
            self, _warn_of_what_is_left, self._members, self._made_at, os.getpid()
        )

    def _complete(self) -> list[UploadResult]:
        for member in self._members:
            if member.phase is Phase.ABORTED:
                raise UsageError(f"{member.receipt.uri} was aborted: there is nothing to complete")
            self._refuse_two_of(member.receipt.uri)
        try:
            self._members.look()
            self._raise_what_was_said()
            self._members.publish()
            self._raise_what_was_said()
        except BaseException as error:
            if not self._may_have_begun():
                raise
            if not isinstance(error, Exception):
                add_note(error, self._what_became())
                raise
            raise S3StreamError(self._what_became()) from error
        return self.published

    def _refuse_two_of(self, uri: str) -> None:
        ids = self._members.uploads_of(uri)
        if len(ids) > 1:
            raise UsageError(
                f"two uploads of {uri}: {' and '.join(ids)} (a task that ran twice, perhaps);"
                " discard() one of them"
            )

    def _raise_what_was_said(self) -> None:
        _raise_first([m.said for m in self._members if isinstance(m.said, BaseException)])

    def _may_have_begun(self) -> bool:
        """Whether anything is published, or may be: then all is never undone by itself."""
        return any(m.phase in {Phase.COMMITTED, Phase.UNCERTAIN} for m in self._members)

    def _what_became(self) -> str:
        published = [f"s3://{result.bucket}/{result.key}" for result in self.published]
        uncertain = [_described(m) for m in self._members if m.phase is Phase.UNCERTAIN]
        unpublished = [_described(m) for m in self._members if m.phase in OPEN]
        said = (
            f"the dataset is not published as a whole. Published: {_listed(published)}."
            f" Nobody knows: {_listed(uncertain)}. Not published: {_listed(unpublished)}."
            " Nothing was removed. complete() publishes the rest, now or in another process with a"
            " Dataset of the same receipts: it passes over what is proved to be published; abort()"
            " removes what is not published, and leaves what is"
        )
        if uncertain:
            said += (
                ". Of what nobody knows, look at the object: where it is the right one, go on with"
                " a Dataset without its receipt"
            )
        return said

    def _abort(self, members: list[Member]) -> None:
        found = self._members.find_published(members)
        errors = self._members.remove(members)
        stays = [member.receipt.uri for member in found if member.phase is Phase.COMMITTED]
        if stays:
            errors.append(
                S3StreamError(f"another process has published, and it stays: {_listed(stays)}")
            )
        for member in members:
            if member.phase is Phase.UNCERTAIN:
                errors.append(_left_alone(member.receipt))
        _raise_first(errors)

    def _abort_because_of(self, error: BaseException) -> None:
        """Remove all, unless one is published: then the others may still have to follow it."""
        if self._may_have_begun():
            return
        members = list(self._members)
        if self._members.find_published(members):
            add_note(error, self._what_became())
            return
        for failed in self._members.remove(members):
            attach(error, failed)


def _warn_of_what_is_left(members: Members, made_at: str, process: int) -> None:
    left = [member.receipt.uri for member in members if member.phase in OPEN]
    if left and process == os.getpid():  # a forked child leaves it to its parent
        warnings.warn(
            f"a Dataset (made at {made_at}) was neither completed nor aborted, and its"
            f" {len(left):,} prepared uploads cost storage: {_listed(left)}; a Dataset of the same"
            " receipts publishes or removes them",
            RuntimeWarning,
            stacklevel=2,
        )


def _described(member: Member) -> str:
    uri, said = member.receipt.uri, member.said
    return f"{uri} ({type(said).__name__}: {said})" if isinstance(said, Exception) else uri


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "none") + more


def _left_alone(receipt: PreparedUpload) -> UncertainError:
    return UncertainError(
        "nobody knows whether it was published, so it was left alone: complete() finds it out",
        bucket=receipt.bucket,
        key=receipt.key,
        upload_id=receipt.upload_id,
    )


def _raise_first(errors: Sequence[BaseException]) -> None:
    if not errors:
        return
    for other in errors[1 : _NAMED + 1]:
        add_note(errors[0], f"and {type(other).__name__}: {other}")
    raise errors[0]
