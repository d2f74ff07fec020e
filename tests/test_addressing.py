"""Where requests go and what they carry: access points, path style, acceleration, who pays.

No test can reach AWS: botocore is answered in the moment when it would send, with what it would
have sent written down.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import fsspec
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

import s3stream
from s3stream.options import MiB

REGION = "eu-west-1"
POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/name"
_ANSWERS = {
    ("POST", "uploads"): "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
    "</InitiateMultipartUploadResult>",
    ("POST", "uploadId"): "<CompleteMultipartUploadResult><ETag>e</ETag>"
    "</CompleteMultipartUploadResult>",
}


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


def recorded(**connection: Any) -> tuple[s3stream.S3StreamFileSystem, list[AWSPreparedRequest]]:
    """A file system whose requests are kept, and answered as S3 would."""
    options = {"client_kwargs": {"region_name": REGION}, **connection}
    fs = s3stream.S3StreamFileSystem(
        key="k", secret="s", skip_instance_cache=True, checksum=None, **options
    )
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **kwargs: Any) -> AWSResponse:
        sent.append(request)
        query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
        verb = next((name for name in ("uploads", "uploadId") if name in query), "")
        body = _ANSWERS.get((request.method, verb), "").encode()
        headers = HTTPHeaders()
        headers["ETag"] = '"e"'
        headers["Content-Length"] = "3" if request.method == "HEAD" else str(len(body))
        headers["Last-Modified"] = "Sat, 28 Nov 2026 07:00:00 GMT"
        return AWSResponse(request.url, 200, headers, _Body(body))

    fs.client.meta.events.register("before-send.s3", answer)
    return fs, sent


def put(uri: str, data: bytes = b"abc", **connection: Any) -> list[AWSPreparedRequest]:
    fs, sent = recorded(**connection)
    with s3stream.open(uri, client=fs.client, checksum=None) as file:
        file.write(data)
    return sent


@pytest.mark.parametrize(
    ("bucket", "url"),
    [
        ("bucket", "https://bucket.s3.eu-west-1.amazonaws.com"),
        ("a.dotted.bucket", "https://s3.eu-west-1.amazonaws.com/a.dotted.bucket"),
        (POINT, "https://name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"),
        (
            POINT.replace("accesspoint/", "accesspoint:"),
            "https://name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
        ),
        (
            POINT.replace("eu-west-1", "us-west-2"),  # the ARN's region, not the client's
            "https://name-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
        ),
        (
            "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/olap",
            "https://olap-123456789012.s3-object-lambda.us-west-2.amazonaws.com",
        ),
        (
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28/accesspoint/name",
            "https://name-123456789012.op-01ac5d28.s3-outposts.us-west-2.amazonaws.com",
        ),
        (
            "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
            "https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com",
        ),
    ],
)
def test_a_bucket_or_the_arn_that_stands_for_it_has_its_address(bucket: str, url: str) -> None:
    (request,) = put(f"s3://{bucket}/dir/a key.txt")
    assert (request.method, request.url) == ("PUT", f"{url}/dir/a%20key.txt")
    assert request.body == b"abc"


def test_another_endpoint_is_spoken_to_by_paths_and_signed_for_its_own_region() -> None:
    endpoint_url = "https://account.r2.cloudflarestorage.com"
    (request,) = put("s3://bucket/key", endpoint_url=endpoint_url, client_kwargs={})
    assert request.url == f"{endpoint_url}/bucket/key"
    headers: dict[str, Any] = dict(request.headers.items())
    assert b"/auto/s3/aws4_request" in headers["Authorization"]


def test_an_access_point_of_many_regions_is_signed_for_all_of_them() -> None:
    (request,) = put("s3://arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap/key")
    headers: dict[str, Any] = dict(request.headers.items())
    assert headers["X-Amz-Region-Set"] == b"*"
    assert headers["Authorization"].startswith(b"AWS4-ECDSA-P256-SHA256 ")


@pytest.mark.parametrize(
    ("chosen", "url"),
    [
        ({"addressing_style": "path"}, "https://s3.eu-west-1.amazonaws.com/bucket/key"),
        ({"use_accelerate_endpoint": True}, "https://bucket.s3-accelerate.amazonaws.com/key"),
        (
            {"use_dualstack_endpoint": True},
            "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/key",
        ),
        (
            {"use_dualstack_endpoint": True, "use_accelerate_endpoint": True},
            "https://bucket.s3-accelerate.dualstack.amazonaws.com/key",
        ),
    ],
    ids=str,
)
def test_botocores_own_settings_say_where_to(chosen: dict[str, Any], url: str) -> None:
    (request,) = put("s3://bucket/key", config_kwargs={"s3": chosen})
    assert request.url == url
    assert request.headers["X-Amz-Content-SHA256"] == b"UNSIGNED-PAYLOAD"  # as without them


def test_who_pays_is_said_in_every_request_of_a_multipart_upload() -> None:
    fs, sent = recorded()
    uri = f"s3://{POINT}/key"
    with s3stream.open(uri, client=fs.client, checksum=None, RequestPayer="requester") as file:
        file.write(bytes(11 * MiB))
    assert len(sent) >= 5  # create, three parts, complete
    assert {request.headers["x-amz-request-payer"] for request in sent} == {b"requester"}
    hosts = {urlsplit(request.url).hostname for request in sent}
    assert hosts == {"name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"}


def test_the_file_system_knows_access_points() -> None:
    fs, sent = recorded()
    fs.pipe_file(f"s3://{POINT}/dir/one", b"abc")
    fs.pipe_file(f"{POINT}/dir/two", b"abc")
    info = fs.info(f"s3stream://{POINT}/dir/one")
    assert (info["name"], info["size"]) == (f"{POINT}/dir/one", 3)
    assert fs._strip_protocol(f"s3://{POINT}/") == POINT
    fs.cp_file(f"{POINT}/dir/one", f"{POINT}/dir/three")
    found: list[Any] = [request.headers.get("x-amz-copy-source") for request in sent]
    sources = [unquote(source.decode()) for source in found if source]
    assert sources[0] == f"{POINT}/object/dir/one"
    paths = [urlsplit(request.url).path for request in sent if request.method == "PUT"]
    assert paths == ["/dir/one", "/dir/two", "/dir/three"]


def test_fsspec_takes_an_access_point_for_a_bucket() -> None:
    fs, path = fsspec.url_to_fs(f"s3stream://{POINT}/key", key="k", secret="s")
    assert isinstance(fs, s3stream.S3StreamFileSystem)
    assert path == f"{POINT}/key"
