"""The S3 calls we use, spoken in our types and errors; the only room that knows botocore."""

from __future__ import annotations

from .client import CONNECTION_OPTIONS, connect
from .objects import Objects, Version
from .parameters import Parameters
from .target import Target
from .uploads import StartedUpload, Uploads

__all__ = [
    "CONNECTION_OPTIONS",
    "Objects",
    "Parameters",
    "StartedUpload",
    "Target",
    "Uploads",
    "Version",
    "connect",
]
