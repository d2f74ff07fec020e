"""What an object has beside its bytes: metadata, tags, ACL, versions, a URL that is signed.

By s3fs's names; knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NotFoundError, UsageError
from .finding import Finding


class Describing(Finding):
    """A file system that can read and change what is written on an object."""

    def metadata(self, path: str, refresh: bool = False, **kwargs: Any) -> dict[str, str]:
        """The object's own metadata, by the names that the store says; asked for each time.

        `kwargs` are S3's own parameters.
        """
        place = self._place(path)
        version = self._objects(self._with(kwargs)).head(place.bucket, place.key, place.version_id)
        return dict(version.metadata or {})

    def getxattr(self, path: str, attr_name: str, **kwargs: Any) -> str | None:
        """One entry of the metadata, None when there is none; `a_b` is `a-b`, as for `setxattr`."""
        found = self.metadata(path, **kwargs)
        alike = (name for name in found if _same(name) == _same(attr_name))
        return found.get(attr_name if attr_name in found else next(alike, attr_name))

    def setxattr(
        self, path: str, copy_kwargs: Mapping[str, Any] | None = None, **attributes: str | None
    ) -> None:
        """Set entries of the object's metadata; None removes one, all others stay.

        A new name is written with `-` for `_`. The store copies the object over itself, of any
        size: content type, cache control, storage class, encryption and tags stay, the ACL does
        not. `copy_kwargs` are S3's own parameters, in the place of the object's. Raises
        `PreconditionError` when it was replaced meanwhile.
        """
        place = self._changeable(path)
        for name, value in attributes.items():
            if not isinstance(value, (str, type(None))):
                raise UsageError(f"{name}={value!r}: expected a string, or None to remove it")
        chosen = {_same(name): value for name, value in attributes.items()}

        def change(metadata: Mapping[str, str]) -> dict[str, str]:
            known = {_same(name): name for name in metadata}
            kept = {name: v for name, v in metadata.items() if _same(name) not in chosen}
            new = {known.get(name, name): v for name, v in chosen.items() if v is not None}
            return kept | new

        self._copies().change_metadata(place, change, copy_kwargs or {})
        self._forget(f"{place.bucket}/{place.key}")

    def get_tags(self, path: str) -> dict[str, str]:
        """The object's tags."""
        return self._facets().tags(self._place(path))

    def put_tags(self, path: str, tags: Mapping[str, str], mode: str = "o") -> None:
        """Give an object tags: `o` (overwrite) in the place of its own, `m` (merge) beside them."""
        if mode not in {"o", "m"}:
            raise UsageError(f"mode={mode!r}: expected 'o' to overwrite the tags or 'm' to merge")
        self._facets().put_tags(self._place(path), tags, merge=mode == "m")

    def chmod(self, path: str, acl: str, recursive: bool = False, **kwargs: Any) -> None:
        """Give an object or a bucket a canned ACL, with `recursive` all objects below too.

        Raises `UsageError` for an ACL that S3 does not know, `NotFoundError` when there is nothing.
        """
        place, facets = self._place(path), self._facets(self._with(kwargs))
        below = self.find(path) if recursive else []
        if recursive and place.key and not below:
            raise NotFoundError("there is nothing whose ACL could be set", **place.where)
        for name in below:
            facets.set_acl(self._place(name), acl)
        if not recursive or not place.key:
            facets.set_acl(place, acl)

    def url(
        self, path: str, expires: int = 3600, client_method: str = "get_object", **kwargs: Any
    ) -> str:
        """A URL to read the object without credentials for `expires` seconds.

        `client_method` is boto3's name of another call, `put_object` for a URL to write to;
        `kwargs` are that call's own parameters. Asks nothing of the store, not even whether there
        is such an object.
        """
        place = self._place(path)
        if not place.key:
            raise UsageError(f"{path!r} names no object: expected s3stream://bucket/key")
        return self._facets().signed_url(place, expires, client_method, kwargs)

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        """The same, as fsspec calls it; `expiration` in seconds."""
        return self.url(path, expires=expiration, **kwargs)

    def object_version_info(self, path: str, **kwargs: Any) -> list[dict[str, Any]]:
        """Every version of the object, newest first, as S3's ListObjectVersions tells them.

        Needs `version_aware=True`. Raises `NotFoundError` when there is none.
        """
        if not self.version_aware:
            raise UsageError("object_version_info: for a file system made with version_aware=True")
        place = self._place(path)
        found = self._versions_of(place)
        if not found:
            raise NotFoundError("there is no version of an object", **place.where)
        return found


def _same(name: str) -> str:
    # Stores write names in lower case, but for some; an underscore is not to be had in a header.
    return name.lower().replace("_", "-")
