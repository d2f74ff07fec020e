"""Whether the ten-thousandth part costs what the first did: ``python -m tests.benchmarks.flat``.

One object of 10,000 parts, as small as the null server takes them, so that what is paid per part is
nearly all that is paid. Prints the CPU of every thousand parts, and the memory at the end.
"""

from __future__ import annotations

import argparse
import sys

import s3stream

from .__main__ import LINKS, null_server
from .measure import cpu_seconds, forget_peak, peak_memory
from .workloads import MIB, random_bytes
from .writers import ACCESS, BUCKET, REGION, SECRET

PARTS = 10_000
STEP = 1_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part-size", type=int, default=64 * 1024)
    part_size = parser.parse_args().part_size
    block = random_bytes(part_size)
    with (
        null_server(LINKS["http"], None) as endpoint,
        s3stream.open(
            f"s3://{BUCKET}/flat",
            part_size=part_size,
            min_part_size=part_size,
            equal_parts=True,
            buffering=0,
            key=ACCESS,
            secret=SECRET,
            endpoint_url=endpoint.url,
            client_kwargs={"region_name": REGION},
        ) as file,
    ):
        forget_peak()
        before, costs = peak_memory(), []
        for number in range(0, PARTS, STEP):
            cpu = cpu_seconds()
            for _ in range(STEP):
                file.write(block)
            costs.append((cpu_seconds() - cpu) / STEP * 1000)
            print(f"parts {number + 1:,} to {number + STEP:,}: CPU {costs[-1]:.3f} ms each")
        result = file.commit()
        print(f"dearest thousand: {max(costs) / min(costs):.2f} of the cheapest")
        print(
            f"{result.parts:,} parts, {result.size:,} bytes; at most {file.peak_memory / MIB:.1f}"
            f" MiB of parts at once, {(peak_memory() - before) / MIB:.1f} MiB resident"
        )
    return int(result.parts != PARTS)


if __name__ == "__main__":
    sys.exit(main())
