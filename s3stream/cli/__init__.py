"""The command line, `s3stream VERB …`: one face more on the library, for shells and scripts.

Stands on what `import s3stream` offers and decides nothing about uploads. To add a verb:

1. Write the module `s3stream/cli/<verb>.py` (of a family, `uploads list` and its like, one module)
   with three names:

       EXAMPLE = "s3stream copy s3://bucket/a s3://bucket/b"    # what --help shows first

       def arguments(parser: Parser) -> None:
           parser.add_argument("source", metavar="URI", help="…")
           add_connection(parser)

       def run(options: Namespace, voice: Voice) -> int:        # the exit code: 0, or see `codes`
           fs = S3StreamFileSystem(**connection(options))
           …

2. Add a line to `VERBS` below: its name, and what `s3stream --help` says of it.

Only the module of the verb that was asked for is imported, so what it needs costs the others
nothing. What there is for it:

- `parsing`: the parser, sizes, durations, and the options that verbs share. A family calls
  `parser.add_verbs()` for its verbs, whose `run=` each names its function.
- `writing`: the options of an object that is written, and the last word about it.
- `streams`: the standard streams of this process, as descriptors.
- `voice`: the only one that prints: results, warnings, and a `Bar` on terminals. The library's own
  warnings and its log go there by themselves.
- `codes`: what a verb raises (`S3StreamError`, and any `OSError`) becomes one sentence on standard
  error, by `wording` in the command's words, and an exit code; a module's `FAILURE`, if it has one,
  stands for all of them. Arguments that turn out wrong late are a `UsageError`.
- `signals`: SIGINT, SIGTERM and SIGHUP arrive in the main thread as `Stopped`, a `BaseException`
  like `KeyboardInterrupt`: let it through, after cleaning up what is the verb's own. The library's
  files discard by themselves.
"""

from __future__ import annotations

VERBS = {
    "put": "write a file, or what comes through a pipe, as one object",
    "run": "write what a command prints as one object, if the command succeeds",
    "cat": "print objects",
    "ls": "list buckets, and what is in them",
    "rm": "delete objects",
    "uploads": "list, abort, resume and expire unfinished uploads",
    "archive": "write what lies in a bucket into one zip or tar",
    "extract": "unpack such an archive, and compare it with its manifest",
    "verify": "compare such an archive with its manifest",
    "tus": "take resumable uploads over HTTP, by the tus protocol",
}
