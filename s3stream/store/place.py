"""Where an object is: its bucket, its key, and which of its versions is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where an object is; with a `version_id` that version of it."""

    bucket: str
    key: str
    version_id: str | None = None

    @property
    def arguments(self) -> dict[str, str]:
        """The same in S3's words."""
        version = {} if self.version_id is None else {"VersionId": self.version_id}
        return {"Bucket": self.bucket, "Key": self.key, **version}

    @property
    def where(self) -> dict[str, Any]:
        """The same for an error."""
        return {"bucket": self.bucket, "key": self.key}

    def __str__(self) -> str:
        version = "" if self.version_id is None else f"?versionId={self.version_id}"
        return f"s3://{self.bucket}/{self.key}{version}"
