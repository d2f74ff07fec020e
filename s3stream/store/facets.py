"""What an object has beside its bytes: tags, canned ACLs, signed URLs, the list of its versions.

Plain calls in our types and errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..errors import AccessDeniedError, S3StreamError, UsageError
from .calls import call
from .failures import translated
from .pages import pages
from .parameters import Parameters
from .place import Place


class Facets:
    """Facets of the objects that a client can see; `given` are S3 parameters for its calls."""

    def __init__(self, client: Any, given: Mapping[str, Any]) -> None:
        self._client = client
        self._parameters = Parameters(client, given)

    def tags(self, place: Place) -> dict[str, str]:
        """The object's tags."""
        with translated("cannot read the tags", **place.where):
            answer = call(self._client, "get_object_tagging", self._for("GetObjectTagging", place))
        # Ceph 16 leaves the set out where its upload was to have tags.
        return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}

    def put_tags(self, place: Place, tags: Mapping[str, str], *, merge: bool = False) -> None:
        """Give the object these tags, in the place of its own or beside them."""
        # Asked in any case: a store without tags (rclone) takes the call for a PutObject, and the
        # object's bytes would be gone.
        try:
            before = self.tags(place)
        except AccessDeniedError:
            if merge:
                raise
            before = {}
        wanted = {**before, **tags} if merge else tags
        arguments = self._for("PutObjectTagging", place)
        arguments["Tagging"] = {"TagSet": [{"Key": k, "Value": v} for k, v in wanted.items()]}
        with translated("cannot set the tags", **place.where):
            call(self._client, "put_object_tagging", arguments)

    def set_acl(self, place: Place, acl: str) -> None:
        """Give an object, or a bucket where there is no key, a canned ACL.

        Raises `UsageError` for one that S3 does not know.
        """
        shape = "ObjectCannedACL" if place.key else "BucketCannedACL"
        known = self._client.meta.service_model.shape_for(shape).enum
        if acl not in known:
            raise UsageError(
                f"acl={acl!r}: expected one of {', '.join(map(repr, known))}", **place.where
            )
        if place.key:
            self._refuse_without_acls(place)
        with translated("cannot set the ACL", **place.where):
            if place.key:
                arguments = {**self._for("PutObjectAcl", place), "ACL": acl}
                call(self._client, "put_object_acl", arguments)
            else:
                given = self._parameters.of("PutBucketAcl")
                arguments = {**given, "Bucket": place.bucket, "ACL": acl}
                call(self._client, "put_bucket_acl", arguments)

    def _refuse_without_acls(self, place: Place) -> None:
        # For the same reason as above.
        with suppress(AccessDeniedError), translated("cannot read the ACL", **place.where):
            answer = call(self._client, "get_object_acl", self._for("GetObjectAcl", place))
            if "Grants" not in answer:
                raise S3StreamError("the store knows no ACLs", **place.where)

    def signed_url(
        self, place: Place, seconds: int, method: str, parameters: Mapping[str, Any]
    ) -> str:
        """A URL that needs no credentials for so many seconds; asks nothing of the store.

        `method` is boto3's name of the call that it stands for.
        """
        arguments = {**place.arguments, **parameters}
        with translated("cannot sign a URL", **place.where):
            url: str = self._client.generate_presigned_url(
                ClientMethod=method, Params=arguments, ExpiresIn=seconds
            )
        return url

    def versions(self, bucket: str, prefix: str, delimiter: str = "") -> list[dict[str, Any]]:
        """Every version of the objects under `prefix`, in S3's words, newest of each key first.

        With a delimiter the prefixes one level down too, as `{"Prefix": …}`.
        """
        found: list[dict[str, Any]] = []
        arguments = {
            **self._parameters.of("ListObjectVersions"),
            "Bucket": bucket,
            "Prefix": prefix,
            "Delimiter": delimiter,
        }
        where = {"bucket": bucket, "key": prefix}
        with translated("cannot list the versions", **where):
            for page in pages(
                lambda **following: call(self._client, "list_object_versions", following),
                ("KeyMarker", "VersionIdMarker"),
                arguments,
                where,
            ):
                found += page.get("Versions", ())
                found += page.get("CommonPrefixes", ())
        return found

    def _for(self, operation: str, place: Place) -> dict[str, Any]:
        return {**self._parameters.of(operation), **place.arguments}
