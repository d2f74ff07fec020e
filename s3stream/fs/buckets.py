"""Buckets: made, removed, whether they keep versions, and the uploads that nobody finished in them.

No object is looked into.
"""

from __future__ import annotations

from typing import Any

from ..errors import AlreadyExistsError, S3StreamError, UsageError, add_note
from ..store import StartedUpload, Uploads
from .names import refuse_unknown
from .opening import Opening


class BucketKeeping(Opening):
    """A file system whose buckets can be made, removed and set up."""

    def mkdir(
        self,
        path: str,
        acl: str | None = None,
        create_parents: bool = True,
        *,
        region_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Create a bucket; below one there is nothing to create, S3 has no folders.

        In the client's region, or `region_name`; `acl` is a canned ACL. Raises `AlreadyExistsError`
        when there is one of that name.
        """
        for name in kwargs:
            refuse_unknown("option", name, {"acl", "create_parents", "region_name"})
        bucket, key, _ = self.split_path(path)
        if not bucket:
            raise UsageError(f"{path!r} names no bucket")
        if key:
            return
        # Some stores answer the creation of a bucket that is there as if they had done it.
        if self._buckets().has(bucket):
            raise AlreadyExistsError("there is a bucket of this name already", bucket=bucket)
        self._buckets().create(bucket, acl or None, region_name)
        self.invalidate_cache()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create the bucket where the path is one; `exist_ok` as in `os.makedirs`."""
        bucket, key, _ = self.split_path(path)
        # Asked first: a bucket that is there needs no right to create one.
        if not key and not (exist_ok and self._buckets().has(bucket)):
            self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Delete an empty bucket; a prefix goes with its last object.

        Raises `AlreadyExistsError` for a prefix with objects below it, as s3fs does.
        """
        bucket, key, _ = self.split_path(path)
        if not key:
            self._buckets().delete(bucket)
            self.invalidate_cache()
        elif self._objects().list(bucket, f"{key}/", at_most=1)[0]:
            raise AlreadyExistsError(
                "not empty: rm(path, recursive=True) deletes all below it", bucket=bucket, key=key
            )

    def is_bucket_versioned(self, bucket: str) -> bool:
        """Whether the bucket keeps every version of its objects."""
        return self._buckets().keeps_versions(self._bucket_of(bucket))

    def make_bucket_versioned(self, bucket: str, versioned: bool = True) -> None:
        """Have the bucket keep every version from now on, or no further ones."""
        self._buckets().keep_versions(self._bucket_of(bucket), versioned)

    def list_multipart_uploads(self, bucket: str) -> list[dict[str, Any]]:
        """The bucket's unfinished multipart uploads, running ones too: Key, UploadId, Initiated.

        `s3stream.list_uploads` tells their sizes too.
        """
        return [
            {"Key": upload.key, "UploadId": upload.upload_id, "Initiated": upload.initiated}
            for upload in self._uploads(bucket).list("")
        ]

    def clear_multipart_uploads(self, bucket: str) -> None:
        """Abort every unfinished upload of the bucket, and so any that is running.

        `s3stream.abort_uploads` asks how old they have to be. All are tried; then the first error
        is raised, with a note for each other one.
        """
        uploads = self._uploads(bucket)
        outcomes = [_abort(uploads, upload) for upload in uploads.list("")]
        failures = [error for error in outcomes if error is not None]
        for other in failures[1:]:
            add_note(failures[0], f"and {type(other).__name__}: {other}")
        if failures:
            raise failures[0]

    def _uploads(self, bucket: str) -> Uploads:
        return Uploads(self.client, self._bucket_of(bucket), self._parameters)

    def _bucket_of(self, path: str) -> str:
        bucket, key, _ = self.split_path(path)
        if key or not bucket:
            raise UsageError(f"{path!r}: expected the name of a bucket")
        return bucket


def _abort(uploads: Uploads, upload: StartedUpload) -> S3StreamError | None:
    try:
        uploads.abort(upload)
    except S3StreamError as error:
        return error
    return None
