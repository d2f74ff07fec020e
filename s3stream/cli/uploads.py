"""`s3stream uploads`: unfinished uploads, which cost storage until somebody sees to them."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta

import s3stream

from ..errors import NotFoundError, UsageError
from ..journal import Journal
from ..uri import split_path
from .bar import clock
from .parsing import Parser, add_connection, connection, duration, size, text, whole_number
from .put import add_lock, send_file, send_input
from .voice import Voice, printable
from .writing import Report

EXAMPLE = """
s3stream uploads list s3://bucket
s3stream uploads expire s3://bucket --days 7
"""


def arguments(parser: Parser) -> None:
    """The verbs of this family."""
    add = parser.add_verbs()
    verb = add(
        "list",
        example="s3stream uploads list s3://bucket/logs/ --older-than 1d",
        help="show them: age, parts, bytes, id, URI",
        run=_list,
    )
    verb.add_argument(
        "uri", metavar="URI", type=text, help="s3://bucket, or what the keys begin with"
    )
    verb.add_argument("--older-than", metavar="TIME", type=duration, help="such as 12h or 7d")
    add_connection(verb)

    verb = add(
        "abort",
        example="s3stream uploads abort s3://bucket/logs/ --older-than 7d",
        help="remove them and their parts; one that is still running fails then",
        run=_abort,
    )
    verb.add_argument(
        "uri", metavar="URI", type=text, help="s3://bucket, or what the keys begin with"
    )
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--older-than", metavar="TIME", type=duration, help="such as 12h or 7d")
    which.add_argument(
        "--upload-id", metavar="ID", type=text, help="just this one of s3://bucket/key"
    )
    add_connection(verb)

    verb = add(
        "resume",
        example="s3stream uploads resume backup.checkpoint backup.tar",
        help="go on with the upload that put --checkpoint has begun",
        run=_resume,
    )
    verb.add_argument("checkpoint", metavar="CHECKPOINT", type=text, help="what --checkpoint named")
    verb.add_argument(
        "file", metavar="FILE", type=text, help="the same file; - is the same standard input"
    )
    add_lock(verb)
    verb.add_argument("--concurrency", metavar="N", type=whole_number, help="parts in flight (24)")
    verb.add_argument("--memory", metavar="SIZE", type=size, help="of its parts (128MiB)")
    add_connection(verb)

    verb = add(
        "expire",
        example="s3stream uploads expire s3://bucket --days 7",
        help="have the store abort them by itself (a lifecycle rule; the others stay)",
        run=_expire,
    )
    verb.add_argument(
        "uri", metavar="URI", type=text, help="s3://bucket, or what the keys begin with"
    )
    verb.add_argument("--days", metavar="N", type=whole_number, default=7, help="of age (7)")
    add_connection(verb)


def _list(options: Namespace, voice: Voice) -> int:
    bucket, prefix = _bucket_of(options.uri)
    for upload in s3stream.list_uploads(bucket, prefix, **connection(options)):
        if options.older_than is None or upload.age >= options.older_than:
            _show(upload, voice)
    return 0


def _abort(options: Namespace, voice: Voice) -> int:
    chosen = connection(options)
    if options.upload_id is not None:
        s3stream.MultipartUpload.attach(options.uri, options.upload_id, **chosen).abort()
        voice.result({"uri": options.uri, "upload_id": options.upload_id})
        return 0
    bucket, prefix = _bucket_of(options.uri)
    for upload in s3stream.abort_uploads(bucket, prefix, older_than=options.older_than, **chosen):
        _show(upload, voice)
    return 0


def _resume(options: Namespace, voice: Voice) -> int:
    report = Report(voice)
    checkpoint = Journal(options.checkpoint).read()
    if checkpoint is None:
        raise NotFoundError(f"{options.checkpoint}: there is no such checkpoint")
    uri = f"s3://{checkpoint.bucket}/{checkpoint.key}"
    chosen = connection(options) | {
        "checkpoint": options.checkpoint,
        "lock": None if options.no_lock else "store",
    }
    if options.concurrency is not None:
        chosen["max_concurrency"] = options.concurrency
    if options.memory is not None:
        chosen["memory"] = options.memory
    of_input = checkpoint.source is None
    if of_input != (options.file == "-"):
        what = "standard input: give -" if of_input else "a file: give its name"
        raise UsageError(f"{options.checkpoint}: the upload is one of {what}")
    if of_input:
        result = send_input(uri, None, chosen, voice)
    else:
        result = send_file(options.file, uri, chosen, voice)
    report.published(uri, result)
    return 0


def _expire(options: Namespace, voice: Voice) -> int:
    bucket, prefix = _bucket_of(options.uri)
    s3stream.expire_uploads(bucket, options.days, prefix, **connection(options))
    voice.result({"uri": options.uri, "days": options.days})
    return 0


def _bucket_of(uri: str) -> tuple[str, str]:
    bucket, prefix = split_path(uri)
    if "://" not in uri or not bucket:
        raise UsageError(f"{uri!r}: expected s3://bucket or s3://bucket/prefix")
    return bucket, prefix


def _show(upload: s3stream.UnfinishedUpload, voice: Voice) -> None:
    uri = f"s3://{upload.bucket}/{upload.key}"
    facts = {
        "uri": uri,
        "upload_id": upload.upload_id,
        "initiated": upload.initiated.isoformat(),
        "age_seconds": int(upload.age / timedelta(seconds=1)),
        "parts": upload.parts,
        "size": upload.size,
    }
    age = clock(upload.age.total_seconds())
    voice.result(
        facts,
        f"{age:>9}  {upload.parts:6,}  {upload.size:>17,}  {upload.upload_id}  {printable(uri)}",
    )
