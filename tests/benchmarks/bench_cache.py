"""How long it takes to read 256 random trials from a warm cache; run as a script, never as a test.

usage: python tests/benchmarks/bench_cache.py [--repeats N]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.stored_recording import load_recording, save_recording

TARGET_MS = 20.0
N_TRIALS, N_CHANNELS, N_RUNS, TRIALS_PER_RUN = 256, 63, 14, 600


def recording(n_times: int, sfreq: float, *, epoched: bool) -> Recording:
    """Make a recording with as many trials as a subject of the built-in EEG study has."""
    generator = np.random.default_rng(0)
    sensors = Sensors(tuple(f"E{index}" for index in range(N_CHANNELS)), ("eeg",) * N_CHANNELS, sfreq, 0.0, "V")
    blocks, tables = {}, []
    step = round(1.1 * sfreq)
    for run in range(N_RUNS):
        shape = (TRIALS_PER_RUN, N_CHANNELS, n_times) if epoched else (N_CHANNELS, step * TRIALS_PER_RUN + n_times)
        name = f"run-{run:02d}"
        blocks[name] = Block(name, generator.standard_normal(shape, dtype=np.float32), sensors)
        starts = np.arange(TRIALS_PER_RUN) * (1 if epoched else step)
        tables.append(
            pd.DataFrame(
                {
                    "subject": "sub-01",
                    "session": "",
                    "run": name,
                    "block": name,
                    "start": starts,
                    "length": n_times,
                    "stimulus": "picture",
                    "repetition": 1,
                    "onset": starts / sfreq,
                }
            )
        )
    return Recording("sub-01", "eeg", blocks, pd.concat(tables, ignore_index=True), simulated=True)


def measure(source: Recording, repeats: int) -> tuple[float, float, float, float]:
    """Give times of a random batch in milliseconds.

    Through a memory map: median, best and mean processor time, which others on the machine do not lengthen; and the
    median from plain memory.
    """
    generator = np.random.default_rng(1)
    batches = [generator.integers(0, len(source.windows), N_TRIALS) for _ in range(repeats)]
    with tempfile.TemporaryDirectory() as folder:
        save_recording(Path(folder), source)
        cached = load_recording(Path(folder))
        for block in cached.blocks.values():
            block.data.sum()  # warm
        times: list[list[float]] = [[], []]
        processor = 0.0
        for which, kind in enumerate((cached, source)):
            kind.read(batches[0])
            started = time.process_time()
            for rows in batches:
                begin = time.perf_counter()
                kind.read(rows)
                times[which].append(1000 * (time.perf_counter() - begin))
            if which == 0:
                processor = 1000 * (time.process_time() - started) / len(batches)
    return float(np.median(times[0])), float(np.min(times[0])), processor, float(np.median(times[1]))


def main() -> None:
    """Print a line for each layout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=50)
    repeats = parser.parse_args().repeats
    for n_times, sfreq in ((40, 50.0), (200, 250.0)):
        for epoched in (False, True):
            warm, best, processor, memory = measure(recording(n_times, sfreq, epoched=epoched), repeats)
            layout = "epoched" if epoched else "continuous"
            print(
                f"{N_TRIALS} random trials, {N_CHANNELS} x {n_times}, {layout}: {warm:.1f} ms from the cache "
                f"(best {best:.1f}, processor {processor:.1f}), {memory:.1f} ms from memory; "
                f"target {TARGET_MS:.0f} ms: {'met' if warm < TARGET_MS else 'MISSED'}"
            )


if __name__ == "__main__":
    main()
