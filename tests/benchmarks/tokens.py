"""Memory and time of placing picture tokens among the known ones; run as a script, never as a test.

Writes tokens of CLIP ViT-L/14's shape for as many pictures as are asked for, fits the coordinates in which the linear
models work and places a gallery there. Prints the anonymous memory at its peak beside the size of the tokens, and the
time against that of one product of all tokens with themselves in memory, measured on a part of them.

usage: python -P tests/benchmarks/tokens.py [--folder DIR] [--known N] [--gallery N]
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from neurodecode.core.targets import Targets, TargetSpace, TargetWriter
from neurodecode.encoders.linear.token_basis import TokenBasis

SHAPE = (257, 1024)


def anonymous_megabytes() -> float:
    """Read what the process holds beyond files; pages of mapped files can be dropped at any time."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("RssAnon is not known here")


class Peak:
    """Watch the anonymous memory while something runs."""

    def __enter__(self) -> "Peak":
        self.megabytes, self._going = anonymous_megabytes(), True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while self._going:
            self.megabytes = max(self.megabytes, anonymous_megabytes())
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()


def write_tokens(folder: Path, count: int) -> Targets:
    generator = np.random.default_rng(0)
    writer = TargetWriter(folder, TargetSpace("random", "00", "tokens", "tokens", "none", False, "tokens", SHAPE))
    for number in range(count):
        writer.add(f"{number:05d}", generator.standard_normal(SHAPE, dtype=np.float32))
    return writer.close()


def seconds_in_memory(targets: Targets, count: int) -> float:
    """Time the products of all pairs of `count` stimuli, from those of a few in memory."""
    part = targets.get(targets.stimuli[:100]).reshape(100, -1)
    begin = time.process_time()
    part @ part.T
    return (time.process_time() - begin) * (count / 100) ** 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--known", type=int, default=1200)
    parser.add_argument("--gallery", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        with Peak() as writing:
            targets = write_tokens(Path(folder) / "tokens", arguments.known + arguments.gallery)
        names = targets.stimuli
        begin = time.process_time()
        with Peak() as fitting:
            basis = TokenBasis.fit(targets.get, names[: arguments.known])
        fitted = time.process_time()
        with Peak() as placing:
            basis.of(names[arguments.known :])
        placed = time.process_time()
        reference = seconds_in_memory(targets, arguments.known)
    size = 4 * SHAPE[0] * SHAPE[1] * arguments.known / 2**20
    print(f"tokens of {arguments.known} pictures: {size:.0f} MB; writing held {writing.megabytes:.0f} MB")
    ratio = (fitted - begin) / reference
    print(f"fitting: {fitted - begin:.1f} s, {ratio:.2f} of one product in memory; {fitting.megabytes:.0f} MB")
    print(f"placing {arguments.gallery}: {placed - fitted:.1f} s; {placing.megabytes:.0f} MB")


if __name__ == "__main__":
    main()
