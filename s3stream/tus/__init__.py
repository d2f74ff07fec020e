"""A tus server whose only storage is S3: resumable uploads from browsers, phones and scripts.

    import s3stream.tus

    app = s3stream.tus.application("my-bucket", prefix="incoming/", path="/files", cors=["*"])

is an ASGI application, for uvicorn (`uvicorn module:app`) or to be mounted into another one
(`Mount("/", app)`); `s3stream tus serve --bucket my-bucket` starts one. In a thread, for tests:

    server = uvicorn.Server(uvicorn.Config(app, port=0))
    threading.Thread(target=server.run).start()

All of an upload lies at the store, so any of several servers on one bucket can take its next
request. Needs `pip install "s3stream[tus]"`.
"""

from __future__ import annotations

from .app import application
from .hooks import Upload
from .protocol import Refused

__all__ = ["Refused", "Upload", "application"]
