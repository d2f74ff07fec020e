"""A script that was written for s3fs, with one word changed: the name of the file system.

The line that was changed says what it was. `python from_s3fs.py s3fs s3://bucket/prefix` runs it
by s3fs itself, where that is installed; without the first argument it runs by s3stream.
"""

import sys

import fsspec

NAME = sys.argv[1] if len(sys.argv) > 2 else "s3stream"
ROOT = sys.argv[-1].removeprefix("s3://").removeprefix("s3stream://")

if NAME == "s3fs":
    fs = fsspec.filesystem("s3", default_block_size=8 * 2**20)
else:
    # The diff: "s3" became "s3stream". (Or `s3stream.register("s3")`, once, and no diff at all.)
    fs = fsspec.filesystem("s3stream", default_block_size=8 * 2**20)

# Write, with S3's own parameters by their names.
with fs.open(f"{ROOT}/days/monday.csv", "wb", ContentType="text/csv") as file:
    file.write(b"hour,count\n" + b"".join(b"%d,%d\n" % (n % 24, n) for n in range(10_000)))
fs.pipe({f"{ROOT}/days/tuesday.csv": b"hour,count\n7,1\n", f"{ROOT}/notes.txt": b"by hand"})
fs.touch(f"{ROOT}/days/done")

# Look.
print(fs.ls(f"{ROOT}/days"))
print(fs.find(ROOT), fs.du(ROOT), fs.glob(f"{ROOT}/*/t*.csv"))
print(fs.info(f"{ROOT}/notes.txt")["size"], fs.isdir(f"{ROOT}/days"), fs.exists(f"{ROOT}/no"))
print([(len(dirs), len(files)) for _, dirs, files in fs.walk(ROOT)])
assert fs.modified(f"{ROOT}/notes.txt").tzinfo is not None
assert fs.checksum(f"{ROOT}/notes.txt") != fs.checksum(f"{ROOT}/days/done")

# Read.
with fs.open(f"{ROOT}/days/monday.csv", "rb") as file:
    print(file.readline(), file.read(4))
print(fs.cat(f"{ROOT}/notes.txt"), fs.tail(f"{ROOT}/days/tuesday.csv", 4))
print(fs.cat_ranges([f"{ROOT}/notes.txt"] * 2, [0, 3], [2, 7]))

# Describe.
fs.setxattr(f"{ROOT}/notes.txt", written_by="hand")
print(fs.getxattr(f"{ROOT}/notes.txt", "written_by"), fs.metadata(f"{ROOT}/notes.txt"))
fs.put_tags(f"{ROOT}/notes.txt", {"kind": "note"})
fs.put_tags(f"{ROOT}/notes.txt", {"year": "2026"}, mode="m")
print(fs.get_tags(f"{ROOT}/notes.txt"))
fs.chmod(f"{ROOT}/notes.txt", acl="private")
assert fs.url(f"{ROOT}/notes.txt", expires=60).startswith("http")

# Change.
fs.cp(f"{ROOT}/notes.txt", f"{ROOT}/copy.txt")
fs.mv(f"{ROOT}/copy.txt", f"{ROOT}/moved.txt")
fs.pipe_file(f"{ROOT}/large.bin", bytes(5 * 2**20))
fs.merge(f"{ROOT}/merged.bin", [f"{ROOT}/large.bin", f"{ROOT}/notes.txt"])
print(fs.info(f"{ROOT}/merged.bin")["size"])
fs.get(f"{ROOT}/days/", "days/", recursive=True)
fs.put("days/tuesday.csv", f"{ROOT}/again.csv")
fs.rm(f"{ROOT}/days", recursive=True)
fs.rm([f"{ROOT}/large.bin", f"{ROOT}/merged.bin"])
fs.invalidate_cache()
print(fs.find(ROOT))
