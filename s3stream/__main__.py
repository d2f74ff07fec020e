"""`python -m s3stream` is the command `s3stream`."""

from __future__ import annotations

import sys

from .cli.main import main

sys.exit(main())
