"""The vendors' packages warn while they are imported; here warnings are errors."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tests.runtimes.carriers  # noqa: F401
