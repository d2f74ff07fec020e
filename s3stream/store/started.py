"""What can be asked of a started upload by whoever has the arguments of the call ready: its end.

Neither knows nor chooses the upload.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ..waiting import Cancellation
from .calls import call
from .failures import UPLOAD_GONE, code_of


def abort_once(client: Any, arguments: dict[str, Any], patience: Cancellation | None) -> bool:
    """Ask once for the end of an upload; whether it was gone already. Raises botocore's errors."""
    try:
        call(client, "abort_multipart_upload", arguments, patience)
    except ClientError as error:
        if code_of(error) not in UPLOAD_GONE:
            raise
        return True
    return False
