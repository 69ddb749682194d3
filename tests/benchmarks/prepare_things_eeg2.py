"""Prepare a full-size THINGS-EEG2 derivative (dialect B) and read it back; run as a script, never as a test.

Writes 16540 x 4 x 63 x 250 numbers of double precision (8.3 GB) as one pickle in pieces, copies it, prepares it, reads
random trials, and deletes everything. Prints the anonymous memory while preparing, the time against that of the copy,
and the time of reading.

usage: python tests/benchmarks/prepare_things_eeg2.py [--folder DIR] [--pictures N]
"""

import argparse
import pickle
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurodecode.core.prepared import prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.gifford2022.channels import CHANNELS

REPETITIONS, N_TIMES, TEST_PICTURES = 4, 250, 200
LARGEST_MEMORY_MB, LARGEST_RATIO, LARGEST_READ_MS = 1000.0, 2.0, 60.0
N_TRIALS = 1024
PIECE = 1 << 24


def write_pickle(path: Path, n_pictures: int, n_repetitions: int) -> int:
    """Write a derivative piece by piece, byte for byte what `pickle.dump` writes at once; give its size in bytes."""
    shape = (n_repetitions, len(CHANNELS), N_TIMES)
    one = np.zeros((1, *shape))
    names = {"ch_names": list(CHANNELS), "times": np.arange(300) / 250 - 0.2}
    content = pickle.dumps({"preprocessed_eeg_data": one, **names}, protocol=4)
    header = b"B" + one.nbytes.to_bytes(4, "little")
    start = content.index(header)
    before, after = content[:start], content[start + len(header) + one.nbytes :]
    # The number of pictures takes two bytes where one picture took one, and the frame around it grows by as much.
    place = before.rindex(b"(K\x01") + 1
    before = before[:place] + b"M" + n_pictures.to_bytes(2, "little") + before[place + 2 :]
    frame = int.from_bytes(before[3:11], "little") + 1
    before = before[:3] + frame.to_bytes(8, "little") + before[11:]
    n_bytes = one.nbytes * n_pictures
    long = n_bytes >= 1 << 32
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(before)
        file.write((b"\x8e" if long else b"B") + n_bytes.to_bytes(8 if long else 4, "little"))
        for begin in range(0, n_pictures, 20):
            file.write(generator.standard_normal((min(20, n_pictures - begin), *shape)).tobytes())
        file.write(after)
    return path.stat().st_size


def write_study(root: Path, n_pictures: int) -> Path:
    """Write the list of pictures and one subject; give the large file."""
    folder = root / "Preprocessed_data_250Hz" / "sub-01"
    folder.mkdir(parents=True)
    content: dict[str, list[str]] = {}
    for part, count, each in (("train", n_pictures, 10), ("test", TEST_PICTURES, 1)):
        concepts = [f"{part}{row // each:04d}x" for row in range(count)]
        content[f"{part}_img_concepts"] = [f"{row // each + 1:05d}_{concept}" for row, concept in enumerate(concepts)]
        content[f"{part}_img_concepts_THINGS"] = content[f"{part}_img_concepts"]
        content[f"{part}_img_files"] = [f"{concept}_{row % each:02d}b.jpg" for row, concept in enumerate(concepts)]
    np.save(root / "image_metadata.npy", content)  # type: ignore[arg-type]
    write_pickle(folder / "preprocessed_eeg_test.npy", TEST_PICTURES, 2)
    write_pickle(folder / "preprocessed_eeg_training.npy", n_pictures, REPETITIONS)
    return folder / "preprocessed_eeg_training.npy"


def anonymous_memory() -> float:
    """Give the anonymous memory of this process in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))


class Watch(threading.Thread):
    """Look at the memory every 10 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.done = 0.0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.01):
            self.peak = max(self.peak, anonymous_memory())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, help="where there is room for 22 GB; the system's temporary folder by default"
    )
    parser.add_argument("--pictures", type=int, default=16540)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        n_bytes = arguments.pictures * REPETITIONS * len(CHANNELS) * N_TIMES * 8
        room = shutil.disk_usage(folder).free
        if room < 2.7 * n_bytes:
            raise SystemExit(
                f"{folder}: {room / 1e9:.1f} GB free, expected {2.7 * n_bytes / 1e9:.1f} GB; choose another --folder"
            )
        root = Path(folder) / "things_eeg2"
        large = write_study(root, arguments.pictures)
        begin = time.perf_counter()
        with large.open("rb") as source, (root / "copy").open("wb") as copy:
            shutil.copyfileobj(source, copy, PIECE)
        copying = time.perf_counter() - begin
        (root / "copy").unlink()
        study = open_study("things_eeg2", root)
        study.info = replace(study.info, expected={}, simulated=True)
        watch = Watch()
        watch.start()
        begin = time.perf_counter()
        prepared = prepare_study(study, Path(folder) / "cache")
        preparing = time.perf_counter() - begin
        watch.done.set()
        watch.join()
        recording = prepared.recording("sub-01")
        for block in recording.blocks.values():
            block.data.sum()  # warm
        generator = np.random.default_rng(1)
        times, started = [], time.process_time()
        for _ in range(30):
            rows = generator.integers(0, len(recording.windows), N_TRIALS)
            begin = time.perf_counter()
            recording.read(rows)
            times.append(1000 * (time.perf_counter() - begin))
        reading = float(np.median(times))
        # Which others on the machine do not lengthen.
        processor = 1000 * (time.process_time() - started) / len(times)
    ratio = preparing / copying
    for text, value, bar in (
        (f"anonymous memory of prepare {watch.peak:.0f} MB", watch.peak, LARGEST_MEMORY_MB),
        (
            f"prepare {preparing:.1f} s, copy of {n_bytes / 1e9:.2f} GB {copying:.1f} s: ratio {ratio:.2f}",
            ratio,
            LARGEST_RATIO,
        ),
        (
            f"{N_TRIALS} random trials {reading:.1f} ms (best {min(times):.1f}, processor {processor:.1f})",
            reading,
            LARGEST_READ_MS,
        ),
    ):
        print(f"{text}; bar {bar:g}: {'met' if value <= bar else 'MISSED'}")


if __name__ == "__main__":
    main()
