"""Errors: each says where, is what Python calls such a thing, and survives the way to another
process.
"""

from __future__ import annotations

import copy
import errno
import pickle
import sys
import traceback

import pytest

from s3stream import errors
from s3stream.errors import S3StreamError, attach

# Every class: the built-in that users already catch, and the errno they may look at.
WHAT_THEY_ARE: dict[type[S3StreamError], tuple[type[Exception], int]] = {
    errors.S3StreamError: (OSError, errno.EIO),
    errors.UsageError: (ValueError, errno.EINVAL),
    errors.NotFoundError: (FileNotFoundError, errno.ENOENT),
    errors.AccessDeniedError: (PermissionError, errno.EACCES),
    errors.AlreadyExistsError: (FileExistsError, errno.EEXIST),
    errors.PreconditionError: (OSError, errno.EIO),
    errors.PrefixError: (IsADirectoryError, errno.EISDIR),
    errors.TimedOutError: (TimeoutError, errno.ETIMEDOUT),
    errors.TooLargeError: (OSError, errno.EFBIG),
    errors.IntegrityError: (OSError, errno.EIO),
    errors.LockedError: (OSError, errno.EBUSY),
    errors.UncertainError: (OSError, errno.EIO),
    errors.CleanupError: (OSError, errno.EIO),
}

every_class = pytest.mark.parametrize("kind", WHAT_THEY_ARE, ids=lambda kind: kind.__name__)


def test_the_table_has_every_error_of_the_package() -> None:
    found = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert found == set(WHAT_THEY_ARE)


@every_class
def test_an_error_is_ours_an_oserror_and_what_python_calls_it(kind: type[S3StreamError]) -> None:
    builtin, number = WHAT_THEY_ARE[kind]
    with pytest.raises(builtin) as caught:
        raise kind("no")
    assert isinstance(caught.value, S3StreamError)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == number


@pytest.mark.parametrize("builtin", [FileNotFoundError, PermissionError, FileExistsError])
def test_no_error_is_caught_as_something_that_it_is_not(builtin: type[OSError]) -> None:
    caught = [kind for kind in WHAT_THEY_ARE if issubclass(kind, builtin)]
    assert [WHAT_THEY_ARE[kind][0] for kind in caught] == [builtin]


@every_class
def test_the_message_says_where(kind: type[S3StreamError]) -> None:
    error = kind("it broke", bucket="b", key="k/1", upload_id="u-7", part_number=3)
    assert str(error) == "it broke (s3://b/k/1, part 3, upload u-7)"
    assert (error.bucket, error.key, error.upload_id, error.part_number) == ("b", "k/1", "u-7", 3)


def test_the_message_says_only_what_is_known() -> None:
    assert str(S3StreamError("it broke")) == "it broke"
    assert repr(S3StreamError("it broke")) == "S3StreamError('it broke')"
    assert str(S3StreamError("it broke", bucket="b")) == "it broke (s3://b/)"
    assert str(S3StreamError("it broke", bucket="b", key="k")) == "it broke (s3://b/k)"
    error = S3StreamError("it broke")
    where = (error.bucket, error.key, error.upload_id, error.part_number)
    assert where == (None, None, None, None)


@every_class
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling_whole(kind: type[S3StreamError], protocol: int) -> None:
    error = kind("it broke", bucket="b", key="k", upload_id="u", part_number=3)
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert str(again) == str(error)
    assert again.errno == error.errno
    where = (again.bucket, again.key, again.upload_id, again.part_number)
    assert where == ("b", "k", "u", 3)


def test_an_error_can_be_copied() -> None:
    error = S3StreamError("it broke", bucket="b", key="k")
    assert str(copy.deepcopy(error)) == str(copy.copy(error)) == str(error)


def test_a_subclass_of_the_users_own_survives_pickling_too() -> None:
    assert type(pickle.loads(pickle.dumps(_MineError("mine")))) is _MineError


class _MineError(S3StreamError):
    pass


def test_a_failed_clean_up_is_noted_on_the_error_that_made_it_necessary() -> None:
    error = RuntimeError("the producer's")
    attach(error, errors.CleanupError("the upload is still there", bucket="b", upload_id="u"))
    attach(error, OSError("and another"))
    assert error.__notes__ == [  # type: ignore[attr-defined, unused-ignore]
        "and the clean-up failed: CleanupError: the upload is still there (s3://b/, upload u)",
        "and the clean-up failed: OSError: and another",
    ]


def test_notes_that_were_there_stay() -> None:
    error = RuntimeError("the producer's")
    error.__notes__ = ["the producer's note"]  # type: ignore[attr-defined, unused-ignore]
    attach(error, OSError("no"))
    assert error.__notes__ == [  # type: ignore[attr-defined, unused-ignore]
        "the producer's note",
        "and the clean-up failed: OSError: no",
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 shows no notes")
def test_a_failed_clean_up_is_seen_in_the_traceback() -> None:
    error = S3StreamError("it broke", bucket="b", key="k")
    attach(error, errors.CleanupError("the upload is still there"))
    shown = "".join(traceback.format_exception(error))
    assert shown.splitlines() == [
        "s3stream.errors.S3StreamError: it broke (s3://b/k)",
        "and the clean-up failed: CleanupError: the upload is still there",
    ]


def test_an_error_without_notes_has_none_after_pickling_and_takes_them() -> None:
    again = pickle.loads(pickle.dumps(S3StreamError("it broke")))
    assert not hasattr(again, "__notes__")  # were it None, Python's own add_note would fail
    errors.add_note(again, "a note")
    assert again.__notes__ == ["a note"]


def test_a_note_survives_pickling() -> None:
    # As it does with Python's own errors: who runs writers in worker processes must hear of it.
    error = S3StreamError("it broke")
    attach(error, errors.CleanupError("the upload is still there"))
    again = pickle.loads(pickle.dumps(error))
    assert getattr(again, "__notes__", None) == [
        "and the clean-up failed: CleanupError: the upload is still there"
    ]
