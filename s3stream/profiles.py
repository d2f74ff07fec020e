"""What is known of stores: a table of how each differs from S3, found by its endpoint or its name.

Pure data, each with where it is written or that it was seen (tests/servers.py: what each store that
the tests run against cannot do). Whether a store heeds conditions is not in it: that is found out
by trying. Whatever the user says wins over it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .errors import UsageError
from .options import MAX_PART_SIZE, MAX_PARTS, MiB, WriteOptions


@dataclass(frozen=True)
class Profile:
    """One store.

    `hosts`: a pattern of its endpoints' host names; None for one that runs anywhere.
    `writing`: defaults of `WriteOptions`.
    `region`: what requests are signed for where none is given; the environment's is AWS's, and does
    not count then.
    """

    name: str
    hosts: str | None = None
    writing: Mapping[str, Any] = field(default_factory=dict)
    region: str | None = None


# What works everywhere: parts of 5 MiB to 5 GiB, 10,000 of them, larger ones later, checksums as
# headers and not as trailers.
GENERIC = Profile("generic")

PROFILES = (
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: 10,000 parts, 5 MiB to
    # 5 GiB, the last one may be smaller.
    Profile("aws", r"(.+\.)?amazonaws\.com(\.cn)?"),
    # Seen (Ceph 16): parts of 5 MiB or more, 10,000 of them; checksums are taken and ignored, so
    # results say "not verified by the store".
    Profile("ceph"),
    # Seen: as S3.
    Profile("seaweedfs"),
    # Seen: takes parts of any size; keeps no checksums.
    Profile("rclone"),
    # Seen: as S3. The host name:
    # https://hashnode.localstack.cloud/efficient-localstack-s3-endpoint-configuration
    Profile("localstack", r"(.+\.)?localhost\.localstack\.cloud"),
    # https://min.io/docs/minio/kubernetes/eks/operations/concepts/thresholds.html: "Maximum number
    # of parts per upload: 10,000", "Part size range: 5 MiB to 5 GiB".
    Profile("minio", r"play\.min\.io"),
    # https://developers.cloudflare.com/r2/objects/multipart-objects/: "All parts except the last
    # one must be the same size", "at least 5MiB but no larger than 5GiB", 10,000 parts.
    # https://developers.cloudflare.com/r2/api/s3/api/: "the region for an R2 bucket is auto"; of
    # checksums of the whole object (FULL_OBJECT) it has CRC64NVME, which is our default, and not
    # CRC32 nor CRC32C. Jurisdictions have endpoints of their own (….eu.r2.cloudflarestorage.com):
    # https://developers.cloudflare.com/r2/reference/data-location/
    Profile("r2", r".+\.r2\.cloudflarestorage\.com", {"equal_parts": True}, region="auto"),
    # https://cloud.google.com/storage/quotas: 10,000 parts of 5 MiB to 5 GiB.
    # https://cloud.google.com/storage/docs/multipart-uploads: "Preconditions are not supported in
    # the requests", which is found out by trying.
    # https://cloud.google.com/storage/docs/aws-simple-migration: "Cloud Storage processes x-amz-*
    # headers that have an x-goog-* equivalent", and S3's checksums have none.
    Profile("gcs", r"(.+\.)?storage\.googleapis\.com", {"checksum": None}),
    # https://www.scaleway.com/en/docs/object-storage/api-cli/multipart-uploads/: "1 to 1000 parts
    # per object", "5 MB to 5 GB per part (except for the last one)". Checksums are as S3's:
    # https://www.scaleway.com/en/docs/object-storage/reference-content/supported-checksums/
    Profile("scaleway", r"s3\.[a-z0-9-]+\.scw\.cloud", {"max_parts": 1_000}),
)

_COUNTS = range(1, MAX_PARTS + 1)
_BY_NAME = {profile.name: profile for profile in (GENERIC, *PROFILES)}


def profile_named(name: object) -> Profile:
    """Look a store up by its name. Raises `UsageError`, with the nearest one, for none of ours."""
    called = name.lower() if isinstance(name, str) else ""
    found = _BY_NAME.get(called) if called == name else None
    if found is None:
        near = difflib.get_close_matches(called, _BY_NAME, 1, 0.5)
        meant = f", did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"store={name!r}: expected one of {', '.join(map(repr, _BY_NAME))}{meant}")
    return found


def profile_at(endpoint_url: str) -> Profile:
    """Find the store whose endpoint this is; what works everywhere for one that is not known."""
    host = urlsplit(endpoint_url).hostname or ""
    for profile in PROFILES:
        if profile.hosts is not None and re.fullmatch(profile.hosts, host):
            return profile
    return GENERIC


def with_defaults(profile: Profile, given: Mapping[str, Any]) -> dict[str, Any]:
    """Write options: the store's own, and above them what was given.

    Where the store wants equal parts, and a length is expected for which the usual ones are too
    small, they are as large as it needs, and a tenth more, unless `part_size` is given.
    """
    options = {**profile.writing, **given}
    hint, most = options.get("size_hint"), options.get("max_parts", MAX_PARTS)
    of_store = bool(profile.writing.get("equal_parts")) and "part_size" not in given
    if of_store and options["equal_parts"] is True and isinstance(hint, int) and most in _COUNTS:
        needed = -(-hint * 10 // (most * 9))
        if needed > WriteOptions.part_size:
            options["part_size"] = min(-(-needed // MiB) * MiB, MAX_PART_SIZE)
    return options
