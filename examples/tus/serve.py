"""Serve the page beside this file, and the tus server that it uploads to.

pip install "s3stream[tus]"
npm ci --prefix examples/tus
AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/tus/serve.py s3://bucket/incoming/ 8000
"""

import sys
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

import s3stream.tus

HERE = Path(__file__).parent
bucket, _, prefix = sys.argv[1].removeprefix("s3://").partition("/")


async def page(request: Request) -> FileResponse:
    return FileResponse(HERE / "index.html")


app = s3stream.tus.application(bucket, prefix=prefix, path="/files")
app.add_route("/", page)
app.mount("/tus-js-client", StaticFiles(directory=HERE / "node_modules/tus-js-client/dist"))
uvicorn.run(app, port=int(sys.argv[2]))
