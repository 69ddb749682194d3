"""A miniature of THINGS-MEG in the forms in which it goes around, made from one simulated set of CTF recordings.

The epochs are made by the published chain with MNE's own functions, not with the reader's.
"""

import pickle
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.files import write_json
from neurodecode.datasets.miniatures.ctf_writer import CtfChannel, ctf_channels, write_ctf
from neurodecode.datasets.miniatures.planted import PlantedSignal, picture_of

STUDY = "things_meg"
LAYOUTS = ("fif", "bids", "atm", "atm_zscore", "ubp", "neurobridge")
# Names with digits, hyphens and underscores are on purpose; those of the second line are tested.
CONCEPTS = tuple("aardvark air_conditioner bat1 dog jam t-shirt".split() + "aircraft_carrier baton4 cheese wok".split())
TESTED = CONCEPTS[6:]
#: What the large miniature has beside these: enough for a network to learn from.
MORE = tuple(f"thing_{number:02d}" for number in range(14))
MORE_TESTED = tuple(f"toy_{number:02d}" for number in range(16))
# Of each concept 12 pictures are shown once, one of a tested concept 12 times, and one is never shown.
PICTURES, SHOWN, TESTED_PICTURE = 14, 12, 12
SUBJECTS, SESSIONS, RUNS, CATCH = 2, 2, 2, 8
N_MEG, SFREQ, ONSET_ASYNCHRONY, BEFORE = 16, 1200.0, 960, 1200
# The trigger goes out before the picture is there, which only the optical sensor sees; the software's clock is off.
TRIGGER_LEAD, SOFTWARE_ERROR = 18, 0.15
TRIGGER, LAST_TRIGGER, PULSE = 64, 32, 12
UNIT, NOISE = 1e-12, 1.0
BROKEN = "MRO11-1609"
CATCH_NUMBER = 999999


@dataclass(frozen=True)
class Run:
    """One recording: ``(n_channels, n_samples)``, when pictures appeared, and its rows of the table of trials."""

    signals: NDArray[np.float64]
    samples: NDArray[np.int64]
    table: pd.DataFrame


def concepts_of(*, large: bool = False) -> list[str]:
    """List all concepts in order."""
    return sorted((*CONCEPTS, *((*MORE, *MORE_TESTED) if large else ())))


def concepts_tested(*, large: bool = False) -> list[str]:
    """List the concepts that are tested, in order."""
    return sorted((*TESTED, *(MORE_TESTED if large else ())))


def listing(*, large: bool = False) -> list[tuple[str, str]]:
    """List concept and name of all pictures; the number of a picture is its place here, from 1."""
    concepts = concepts_of(large=large)
    return [(concept, f"{concept}_{number:02d}s") for concept in concepts for number in range(1, PICTURES + 1)]


def channels() -> list[CtfChannel]:
    """List the channels, the broken one included."""
    return [*ctf_channels(N_MEG), CtfChannel(BROKEN, "meg", (-9.0, -5.0, 6.0))]


def attributes(seed: int, *, large: bool = False) -> pd.DataFrame:
    """Make the table of all trials; subjects saw the pictures in the same order."""
    tested = concepts_tested(large=large)
    numbers = {name: row + 1 for row, (_, name) in enumerate(listing(large=large))}
    rows: list[tuple[str, str, float]] = []
    for concept, name in listing(large=large):
        which = int(name[-3:-1]) - 1
        if which < SHOWN:
            rows.append(("exp", f"images_meg/{concept}/{name}.jpg", numbers[name]))
        if which == TESTED_PICTURE and concept in tested:
            rows += [("test", f"images_test_meg/{name}.jpg", numbers[name])] * 12
    rows += [("catch", f"images_catch_meg/catch_{number:02d}.jpg", np.nan) for number in range(CATCH)]
    order = np.random.default_rng([seed, 5]).permutation(len(rows))
    table = pd.DataFrame([rows[index] for index in order], columns=["trial_type", "image_path", "things_image_nr"])
    place = np.arange(len(table)) * SESSIONS * RUNS // len(table)
    table.insert(0, "session_nr", place // RUNS + 1)
    table.insert(1, "run_nr", place % RUNS + 1)
    table.insert(3, "image_on", 1.5 + 0.8 * np.arange(len(table)))
    table.insert(4, "image_off", table["image_on"] + 0.5)
    table["image_nr"] = table["things_image_nr"]
    category = (table["things_image_nr"] - 1) // PICTURES + 1
    table["things_category_nr"] = category
    table["category_nr"] = category
    table["test_image_nr"] = category.where(table["trial_type"] == "test")
    return table


@lru_cache(maxsize=2)
def simulate(subject: int, seed: int, *, large: bool = False) -> tuple[Run, ...]:
    """Simulate all recordings of a subject, session after session."""
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    table, known = attributes(seed, large=large), channels()
    times = np.arange(0, 0.8, 1 / SFREQ)
    rows = [index for index, channel in enumerate(known) if channel.kind == "meg" and channel.name != BROKEN]
    runs = []
    for (session, number), part in table.groupby(["session_nr", "run_nr"]):
        samples = BEFORE + ONSET_ASYNCHRONY * np.arange(len(part))
        signals = np.zeros((len(known), int(samples[-1]) + 2 * ONSET_ASYNCHRONY))
        shape = (len(known), signals.shape[1])
        noise = planted.trial_noise(shape, subject, int(str(session)), int(str(number)))
        for row, channel in enumerate(known):
            if channel.kind in ("meg", "reference"):
                signals[row] = noise[row] * (50 if channel.name == BROKEN else 1)
        for sample, kind, path in zip(samples, part["trial_type"], part["image_path"], strict=True):
            signals[1, sample - TRIGGER_LEAD : sample - TRIGGER_LEAD + PULSE] = TRIGGER
            if kind != "catch":
                name = Path(path).stem
                response = planted.response(name, subject=subject, n_channels=len(rows), times=times)
                signals[rows, sample : sample + len(times)] += response
        signals[1, -PULSE - 5 : -5] = LAST_TRIGGER
        runs.append(Run(signals, samples, part.reset_index(drop=True)))
    return tuple(runs)


def _events(run: Run) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "onset": run.samples / SFREQ - SOFTWARE_ERROR,
            "duration": 0.5,
            "trial_type": run.table["trial_type"],
            "value": run.table["things_image_nr"],
            "sample": run.samples,
        }
    )


def _write_bids(root: Path, subject: int, runs: tuple[Run, ...]) -> Iterator[Path]:
    """Write the recordings one by one."""
    for index, run in enumerate(runs):
        session, number = index // RUNS + 1, index % RUNS + 1
        folder = root / f"sub-BIGMEG{subject}" / f"ses-{session:02d}" / "meg"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"sub-BIGMEG{subject}_ses-{session:02d}_task-main_run-{number:02d}"
        # An empty value is a catch trial.
        _events(run).to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False)
        yield write_ctf(folder / f"{stem}_meg.ds", run.signals, channels(), SFREQ)


@lru_cache(maxsize=2)
def published_epochs(subject: int, seed: int, *, large: bool = False) -> Any:
    """Make the published epochs of a subject from the recordings, with MNE's functions."""
    import mne

    runs, sessions = simulate(subject, seed, large=large), []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # events share numbers between sessions, which is meant
        parts: list[Any] = []
        for run, path in zip(runs, _write_bids(Path(folder), subject, runs), strict=True):
            raw = mne.io.read_raw_ctf(path, preload=True, verbose="error").drop_channels([BROKEN])
            raw.filter(0.1, 40, verbose="error")
            numbers = run.table["things_image_nr"].fillna(CATCH_NUMBER).astype(int)
            events = np.column_stack([run.samples, np.zeros(len(run.samples), dtype=int), numbers])
            settings = {"tmin": -0.1, "tmax": 1.3, "picks": "mag", "baseline": None, "preload": True}
            parts.append(mne.Epochs(raw, events, verbose="error", **settings))
            if len(parts) == RUNS:
                epochs = mne.concatenate_epochs(parts, verbose="error")
                data = mne.baseline.rescale(epochs.get_data(), epochs.times, (None, 0), mode="zscore", verbose="error")
                sessions.append(mne.EpochsArray(data, epochs.info, epochs.events, epochs.tmin, verbose="error"))
                parts = []
        epochs = mne.concatenate_epochs(sessions, add_offset=True, verbose="error")
        with mne.utils.use_log_level("error"):
            epochs.metadata = attributes(seed, large=large)
        return epochs.decimate(6, verbose="error")


def zero_shot(
    subject: int, seed: int, *, large: bool = False
) -> tuple[Any, NDArray[np.float64], NDArray[np.float64], list[str], list[str]]:
    """Make the derivatives' arrays ``(concepts, 12, 1, ...)`` and ``(concepts, 1, 12, ...)`` and their pictures."""
    named = listing(large=large)
    epochs = published_epochs(subject, seed, large=large).copy().crop(0, 1.0)
    numbers = epochs.events[:, 2]
    data = epochs.get_data()[np.argsort(numbers)]
    numbers = np.sort(numbers)
    found, counts = np.unique(numbers[numbers != CATCH_NUMBER], return_counts=True)
    tested = found[counts == 12]
    concepts = {named[number - 1][0] for number in tested}
    kept = [n != CATCH_NUMBER and n not in tested and named[n - 1][0] not in concepts for n in numbers.tolist()]
    train = data[kept].reshape(-1, 12, 1, *data.shape[1:])
    test = data[np.isin(numbers, tested)].reshape(-1, 1, 12, *data.shape[1:])
    names = [named[number - 1][1] for number in numbers[kept]]
    return epochs, train, test, names, [named[number - 1][1] for number in tested]


def write_large(root: Path, *, layout: str, seed: int) -> None:
    """Write the same with 20 concepts to train on and 20 to test."""
    write(root, layout=layout, seed=seed, large=True)


def write(root: Path, *, layout: str, seed: int, large: bool = False) -> None:
    """Write two subjects in one layout, their tables of trials and the pictures."""
    (root / "sourcedata").mkdir()
    for subject in range(1, SUBJECTS + 1):
        attributes(seed, large=large).to_csv(root / "sourcedata" / f"sample_attributes_P{subject}.csv", index=False)
        if layout == "bids":
            for _ in _write_bids(root, subject, simulate(subject, seed, large=large)):
                pass
        elif layout == "fif":
            folder = root / "derivatives" / "preprocessed"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"preprocessed_P{subject}-epo.fif"
            published_epochs(subject, seed, large=large).save(path, split_size="2MB", verbose="error")
        else:
            _write_derivative(root, f"sub-{subject:02d}", layout, *zero_shot(subject, seed, large=large))
    if layout == "bids":
        write_json(root / "dataset_description.json", {"Name": "THINGS-MEG", "BIDSVersion": "1.8.0"})
    _write_pictures(root, layout, large=large)


def _write_derivative(
    root: Path,
    subject: str,
    layout: str,
    epochs: Any,
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    train_names: list[str],
    test_names: list[str],
) -> None:
    content: dict[str, Any]
    if layout.startswith("atm"):
        folder = root / "derivatives" / ("preprocessed_npy" + layout.removeprefix("atm")) / subject
        folder.mkdir(parents=True)
        mean, std = 0.0, 1.0
        if layout == "atm_zscore":
            mean, std = float(train.mean()), float(train.std())
            np.savez(folder / "zscore_params.npz", mean=mean, std=std)
        for name, data in (("training", train), ("zs_test", test)):
            content = {"meg_data": data if layout == "atm" else ((data - mean) / std).astype(np.float32)}
            content |= {"ch_names": epochs.ch_names, "times": epochs.times}
            (folder / f"preprocessed_meg_{name}.pkl").write_bytes(pickle.dumps(content, protocol=4))
    elif layout == "ubp":
        import torch

        folder = root / "preprocessed" / subject
        folder.mkdir(parents=True)
        shape = train.shape[3:]
        for part, data, names in (
            ("train", train.reshape(-1, 1, *shape), train_names),
            ("test", test.reshape(-1, 12, *shape), test_names),
        ):
            concepts = [name.rpartition("_")[0] for name in names]
            order = {concept: row + 1 for row, concept in enumerate(dict.fromkeys(concepts))}
            images = [f"{part}_images/{order[c]:05d}_{c}/{n}.jpg" for c, n in zip(concepts, names, strict=True)]
            content = {
                "eeg": data.astype(np.float16),
                "img": np.array(images),
                "ch_names": epochs.ch_names,
            }
            torch.save(content | {"times": epochs.times}, folder / f"{part}.pt")
    else:
        folder = root / "preprocessed_meg" / subject
        folder.mkdir(parents=True)
        for part, data in (("train", train), ("test", test)):
            # The names are left out and the last sample dropped, as published.
            content = {"data": data[..., :-1].astype(np.float32), "ch_names": [], "times": np.linspace(0, 0.995, 200)}
            (folder / f"{part}.npy").write_bytes(pickle.dumps(content, protocol=4))


def _write_pictures(root: Path, layout: str, *, large: bool) -> None:
    for row, (concept, name) in enumerate(listing(large=large)):
        tested = concept in concepts_tested(large=large)
        folder = root / "object_images" / concept
        if layout == "ubp":
            part = "test" if tested and row % PICTURES == TESTED_PICTURE else "train"
            known = (concepts_tested if part == "test" else concepts_of)(large=large)
            folder = root / "Image_set_Resize" / f"{part}_images" / f"{known.index(concept) + 1:05d}_{concept}"
        folder.mkdir(parents=True, exist_ok=True)
        picture_of(name).save(folder / f"{name}.jpg", quality=95)
