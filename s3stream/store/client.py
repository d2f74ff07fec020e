"""Makes the boto3 client that everything else speaks through, from s3fs's storage options.

Knows boto3's configuration, no S3 call.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import boto3
import botocore
import botocore.session
from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth, S3SigV4QueryAuth
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader
from urllib3.poolmanager import PoolKey

from ..errors import AccessDeniedError, UsageError
from ..options import MiB
from ..profiles import Profile, profile_at
from .failures import translate

CONNECTION_OPTIONS = (
    "anon",
    "key",
    "secret",
    "token",
    "profile",
    "endpoint_url",
    "use_ssl",
    "client_kwargs",
    "config_kwargs",
)

_DEFAULT_CONFIG = {
    # botocore's own retrying, full jitter; ten attempts ride out the minutes of a SlowDown.
    "retries": {"mode": "standard", "total_max_attempts": 10},
    # Our parts carry their checksum in a header. Botocore's default would frame every body as
    # aws-chunked with a trailer, which costs CPU and which many stores refuse.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    # As many parts as the memory of all writers together has room for, about; urllib3 throws
    # connections above it away after one use.
    "max_pool_connections": 200,
    "tcp_keepalive": True,
}


def connect(
    store: Profile | None = None,
    *,
    anon: bool = False,
    key: str | None = None,
    secret: str | None = None,
    token: str | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    use_ssl: bool = True,
    client_kwargs: Mapping[str, Any] | None = None,
    config_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Make an S3 client; what is not given comes from boto3's environment variables and files.

    `store` is the one that it is for; None finds it by the endpoint. Its region counts where none
    is given, before those of the environment and of files.

    Raises `AccessDeniedError` when there are no credentials at all, `UsageError` when botocore
    does not take the configuration. Sends nothing to the store.
    """
    if (key is None) != (secret is None):
        raise UsageError("key and secret go together: one of them is missing")
    given: dict[str, Any] = {
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
        "aws_session_token": token,
        "endpoint_url": endpoint_url,
        "use_ssl": use_ssl,
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    try:
        arguments |= dict(client_kwargs or {})
        config: dict[str, Any] = {**_DEFAULT_CONFIG, **(config_kwargs or {})}
        if anon:
            config["signature_version"] = botocore.UNSIGNED
        core = botocore.session.Session(profile=profile)
        core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
        session = boto3.session.Session(botocore_session=core)
        if not (anon or "aws_access_key_id" in arguments or session.get_credentials()):
            raise AccessDeniedError(
                "no credentials: give key= and secret=, or profile=, or set AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY; anon=True for a bucket that needs none"
            )
        ours = Config(**config)
        theirs = arguments.pop("config", None)
        arguments["config"] = ours if theirs is None else ours.merge(theirs)
        client: Any = session.client("s3", **arguments)
        # Only a client knows the endpoint that environment and files have chosen for it.
        region = (store or profile_at(client.meta.endpoint_url)).region
        if region and not (arguments.get("region_name") or arguments["config"].region_name):
            client = session.client("s3", **{**arguments, "region_name": region})
    except (BotoCoreError, TypeError, ValueError) as error:
        if isinstance(error, BotoCoreError):
            raise translate(error, "cannot make an S3 client") from error
        url = "Invalid endpoint" in str(error)
        hint = "; expected a URL such as https://s3.example.com" if url else ""
        raise UsageError(f"cannot make an S3 client: {error}{hint}") from error
    _leave_payload_to_tls(client)
    _sign_without_copying(client)
    _name_ourselves_once(client)
    _read_in_large_pieces(client)
    return client


@functools.cache
def _loader(data_path: str | None) -> Any:
    """What reads botocore's models of the services, and keeps them.

    One for all sessions: else each client would parse S3's anew, a tenth of a second and 12 MiB.
    """
    return create_loader(data_path)


def _leave_payload_to_tls(client: Any) -> None:
    """Over https, sign the checksum header and not the payload: SHA-256 of it costs more than TLS.

    Over plain http the signature is all that protects the payload, and stays. The endpoint is
    known only when the client is made, so the setting is added then.
    """
    chosen = dict(client.meta.config.s3 or {})
    if client.meta.endpoint_url.startswith("https://"):
        chosen.setdefault("payload_signing_enabled", False)
        client.meta.config.s3 = chosen


def _name_ourselves_once(client: Any) -> None:
    """Build the User-Agent header once: botocore does so twice for every request, a tenth of it."""
    creator = client._user_agent_creator
    said = creator.to_string()
    creator.to_string = lambda: said


def _read_in_large_pieces(client: Any) -> None:
    """Read parts that wait in files a mebibyte at a time: urllib3 reads and sends 16 KiB."""
    # urllib3 1.26, which botocore takes too, has no such setting.
    if "key_blocksize" in PoolKey._fields:
        client._endpoint.http_session._manager.connection_pool_kw["blocksize"] = MiB


_PLAIN_SIGNER = "s3v4-s3stream"
AUTH_TYPE_MAPS.setdefault(_PLAIN_SIGNER, S3SigV4Auth)
# What botocore makes of the name for a URL that is signed.
AUTH_TYPE_MAPS.setdefault(f"{_PLAIN_SIGNER}-query", S3SigV4QueryAuth)


def _sign_without_copying(client: Any) -> None:
    """Sign bodies with botocore's own signer.

    Where awscrt is installed botocore signs through it, and to do so copies every body that is not
    a file into a BytesIO: a part more in memory for each part in flight, and a memcpy.
    """

    def choose(signature_version: Any, context: dict[str, Any], **kwargs: Any) -> str | None:
        chosen = context.get("auth_type") or signature_version
        return _PLAIN_SIGNER if chosen in {"v4", "s3v4"} else None

    # Of every call, not only those with a body: awscrt signs on a thread of its own, which is gone
    # when an upload is aborted at interpreter exit.
    client.meta.events.register_first("choose-signer.s3", choose)
