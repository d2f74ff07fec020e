r"""Back a bucket (or a prefix) up: one archive a night in another bucket, each verified.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/backup.py s3://bucket/prefix/ s3://backups/nightly

Every night, by cron (what it prints and its exit code are cron's business):

    15 2 * * *  python backup.py s3://shop/ s3://shop-backups/nightly

The backup bucket wants one lifecycle rule, once, so that neither old archives nor what a machine
that died in the night has left behind cost storage for ever. It is this one, in the words of
`aws s3api put-bucket-lifecycle-configuration --bucket shop-backups --lifecycle-configuration`:

    {"Rules": [{"ID": "nightly", "Status": "Enabled", "Filter": {"Prefix": "nightly/"},
                "Expiration": {"Days": 30},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}]}

To restore: s3stream extract s3://shop-backups/nightly/2026-11-28.tar.gz s3://shop/
"""

import sys
from datetime import datetime, timezone

import s3stream

source, folder = sys.argv[1], sys.argv[2].rstrip("/")
s3stream.discard_on_sigterm()

# Named by the day: a second run of the same night takes the place of the first, when it is whole.
archive = f"{folder}/{datetime.now(timezone.utc):%Y-%m-%d}.tar.gz"

# Nothing is held whole, in memory or on disk. An object that is deleted meanwhile is passed over,
# and recorded in the archive's manifest; without changed="skip" it would be an error.
made = s3stream.archive(
    source, archive, exclude="*.tmp", changed="skip", StorageClass="STANDARD_IA"
)
print(f"{archive}: {made.upload.size:,} bytes")

# Read back once, and compared with the checksums in the manifest: a backup that was never read is
# a hope.
contents = s3stream.verify(archive)
assert contents == made.contents
print(
    f"{contents.entries:,} objects, {contents.size:,} bytes, {contents.skipped:,} skipped: verified"
)
