"""Measure time and peak memory of tiled ranking; run it as a script.

    python tests/benchmarks/ranking.py --size 50000 --dim 1280

prints one JSON line: seconds, peak resident memory, and how much of that was there before the ranking began.
"""

import argparse
import json
import resource
import sys
import time

import numpy as np

from neurodecode.evaluation.ranks import ranks


def peak_gigabytes() -> float:
    """Read the highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak / 1e6


def measure(size: int, dim: int) -> dict[str, float]:
    """Rank `size` queries in a gallery of `size`, cosine, and say what it took."""
    generator = np.random.default_rng(0)
    gallery = generator.standard_normal((size, dim), dtype=np.float32)
    queries = generator.standard_normal((size, dim), dtype=np.float32)
    queries += gallery
    before = peak_gigabytes()
    labels = np.arange(size)
    start = time.perf_counter()
    found = ranks(queries, gallery, labels, labels)
    return {
        "size": size,
        "dim": dim,
        "seconds": round(time.perf_counter() - start, 2),
        "inputs_and_imports_gigabytes": round(before, 3),
        "peak_gigabytes": round(peak_gigabytes(), 3),
        "top1": float(found.top_k(1).mean()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=1280)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.size, arguments.dim)))
