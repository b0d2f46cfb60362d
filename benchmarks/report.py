"""What a benchmark prints that measured the same figures of several things."""

from __future__ import annotations

import json
from collections.abc import Mapping


def show(results: Mapping[str, Mapping[str, float]], *, as_json: bool, decimals: int) -> None:
    """results: {what was measured: {figure: value}}; a line each, or all as one JSON object."""
    if as_json:
        print(json.dumps(results))
        return
    width = max(map(len, results))
    for name, figures in results.items():
        print(f"{name:{width}} ", "  ".join(f"{figure} {value:.{decimals}f}" for figure, value in figures.items()))
