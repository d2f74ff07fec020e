"""The S3 calls we use, spoken in our types and errors; the only room that knows botocore."""

from __future__ import annotations

from .addressed import Origin
from .appending import look_at_predecessor
from .bodies import crc_of
from .buckets import Buckets
from .calls import listen
from .client import CONNECTION_OPTIONS, connect
from .conditions import PUT
from .copying import Copies
from .downloading import download
from .facets import Facets
from .failures import is_not_allowed, is_refusal, is_upload_gone
from .locks import Claim, LockObject, parameters_beside
from .making import make
from .objects import Objects, Version, listed
from .parameters import Parameters
from .place import Place
from .reading import ListedObject, Range, Reader, connections_of, endpoint_of
from .started import Listing
from .target import Target
from .uploads import StartedUpload, Uploads

__all__ = [
    "CONNECTION_OPTIONS",
    "PUT",
    "Buckets",
    "Claim",
    "Copies",
    "Facets",
    "ListedObject",
    "Listing",
    "LockObject",
    "Objects",
    "Origin",
    "Parameters",
    "Place",
    "Range",
    "Reader",
    "StartedUpload",
    "Target",
    "Uploads",
    "Version",
    "connect",
    "connections_of",
    "crc_of",
    "download",
    "endpoint_of",
    "is_not_allowed",
    "is_refusal",
    "is_upload_gone",
    "listed",
    "listen",
    "look_at_predecessor",
    "make",
    "parameters_beside",
]
