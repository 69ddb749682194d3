"""A miniature of THINGS-EEG2 in all the forms in which it goes around, made from one simulated recording.

The epochs of the derivatives are made here by the published chain with MNE's own functions, not with the reader's.
"""

import pickle
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.core.files import write_json
from neurodecode.datasets.gifford2022.channels import CHANNELS, POSTERIOR
from neurodecode.datasets.miniatures.gifford2022_recording import (
    PICTURES_OF_CONCEPT,
    RECORDED,
    REPETITIONS,
    SEED,
    SFREQ,
    SUBJECTS,
    TARGET,
    UNIT,
    Part,
    concepts_of,
    joined,
    names_of,
    simulate_sessions,
)
from neurodecode.datasets.miniatures.planted import picture_of

STUDY = "things_eeg2"
LAYOUTS = ("B", "A", "C", "D", "E", "F", "source")
Epochs = NDArray[np.float64]


def write_large(root: Path, *, layout: str, seed: int) -> None:
    """Write the same with 60 concepts to train on and 20 to test, in one of the layouts of epochs."""
    if layout in ("E", "F", "source"):
        raise ConfigError(f"layout: got {layout!r} for the large miniature, expected one of B, A, C, D")
    write(root, layout=layout, seed=seed, large=True)


def write(root: Path, *, layout: str, seed: int, large: bool = False) -> None:
    """Write two subjects in one layout, the list of pictures and the pictures."""
    write_pictures(root, layout, large=large)
    for subject in range(1, SUBJECTS + 1):
        name = f"sub-{subject:02d}"
        if layout not in ("E", "F", "source"):
            _write_epochs(root, name, layout, *derivative(subject, seed, authors=layout == "A", large=large), large)
            continue
        for session, parts in enumerate(simulate_sessions(subject, seed), start=1):
            if layout == "source":
                _write_source(root / "source_data" / name / f"ses-{session:02d}", name, session, parts)
                continue
            folder = root / "raw_data" / name / f"ses-{session:02d}"
            folder.mkdir(parents=True)
            for part, stretches in parts.items():
                _write_raw(folder, "training" if part == "train" else "test", joined(stretches), layout)


def _with_stim(part: Part) -> NDArray[np.float64]:
    stim = np.zeros((1, part.signals.shape[1]))
    stim[0, part.samples] = part.codes
    return np.concatenate([part.signals, stim])


def _raw(part: Part, stim: str) -> Any:
    import mne

    info = mne.create_info([*RECORDED, stim], SFREQ, ["eeg"] * len(RECORDED) + ["stim"], verbose="error")
    return mne.io.RawArray(_with_stim(part), info, verbose="error")


def _write_raw(folder: Path, name: str, part: Part, layout: str) -> None:
    if layout == "F":
        _raw(part, "STI101").save(folder / f"raw_eeg_{name}_raw.fif", verbose="error")
        return
    content = {
        "raw_eeg_data": _with_stim(part),
        "ch_names": [*RECORDED, "stim"],
        "ch_types": ["eeg"] * len(RECORDED) + ["stim"],
        "sfreq": SFREQ,
        "highpass": 0.01,
        "lowpass": 100,
    }
    np.save(folder / f"raw_eeg_{name}.npy", content)  # type: ignore[arg-type]


def _write_source(folder: Path, subject: str, session: int, parts: dict[str, list[Part]]) -> None:
    import pybv
    import scipy.io

    (folder / "eeg").mkdir(parents=True)
    (folder / "beh").mkdir()
    for part, stretches in parts.items():
        names = names_of(part)
        for number, stretch in enumerate(stretches, start=1):
            stem = f"{subject}_ses-{session:02d}_task-{part}" + (f"_part-{number:02d}" if part == "train" else "")
            # The triggers run through 1 to 99 and do not name the picture; 255 ends the list.
            triggers = 1 + np.arange(len(stretch.codes)) % 99
            triggers[-1] = 255
            pybv.write_brainvision(
                data=stretch.signals,
                sfreq=SFREQ,
                ch_names=list(RECORDED),
                fname_base=f"{stem}_eeg",
                folder_out=folder / "eeg",
                events=np.column_stack([stretch.samples, triggers]),
                unit="µV",
                fmt="binary_float32",
            )
            kinds = [
                ("block", "O"),
                ("img_type", "O"),
                ("tot_img_number", "O"),
                ("category_name", "O"),
                ("trigger_1", "O"),
            ]
            images = np.empty((1, len(stretch.codes)), dtype=kinds)
            for row, code in enumerate(stretch.codes):
                target = code == TARGET
                concept = 0 if target else f"{(int(code) - 1) // 3 + 1:05d}_{names[code - 1][0]}"
                images[0, row] = (
                    1,
                    "target" if target else part,
                    0 if target else int(code),
                    concept,
                    int(triggers[row]),
                )
            data = {
                "subject_info": {"age": 25, "sex": "f"},
                "paradigm_info": {"SOA": 0.2},
                "images": images,
                "sequences": {"target": [1]},
            }
            scipy.io.savemat(folder / "beh" / f"{stem}_beh.mat", {"data": data})


def _cut(
    part: Part, kind: str, channels: Sequence[str], tmax: float, sfreq: float
) -> tuple[Epochs, NDArray[np.int64], Any]:
    """Cut one part of a session as published: ``(pictures, repetitions, channels, times)``, their numbers and times."""
    import mne
    from sklearn.utils import shuffle

    raw = _raw(part, "stim")
    events = mne.find_events(raw, stim_channel="stim", verbose="error")
    events = events[events[:, 2] != TARGET]
    raw.pick(list(channels)).reorder_channels(list(channels))
    epochs = mne.Epochs(raw, events, tmin=-0.2, tmax=tmax, baseline=(None, 0), preload=True, verbose="error")
    epochs.resample(sfreq, verbose="error")
    data, numbers = epochs.get_data(), np.unique(events[:, 2])
    chosen = [
        shuffle(np.flatnonzero(epochs.events[:, 2] == number), random_state=SEED, n_samples=REPETITIONS[kind])
        for number in numbers
    ]
    return np.stack([data[rows] for rows in chosen]), numbers, epochs.times


def _covariance(epochs: Epochs, over: str) -> NDArray[np.float64]:
    """Average the shrunk covariance over channels, of each epoch or of each time (every tenth, which saves time)."""
    from sklearn.covariance import ledoit_wolf

    if over == "epochs":
        samples = [epoch.T for picture in epochs for epoch in picture]
    else:
        samples = [picture[:, :, time] for picture in epochs for time in range(0, epochs.shape[3], 10)]
    # Scaled up, because in volts the squares are too small for the shrinkage.
    return np.asarray(np.mean([ledoit_wolf(sample / UNIT)[0] for sample in samples], axis=0)) * UNIT**2


def _whiten(epochs: Epochs, covariance: NDArray[np.float64]) -> Epochs:
    import scipy.linalg

    root = np.real(scipy.linalg.fractional_matrix_power(covariance / UNIT**2, -0.5)) / UNIT
    whitened: Epochs = np.einsum("ij,prjt->prit", root, epochs)
    return whitened


@lru_cache(maxsize=4)
def derivative(
    subject: int, seed: int, *, authors: bool, large: bool = False
) -> tuple[dict[str, Epochs], dict[str, NDArray[np.int64]], NDArray[np.float64]]:
    """Make the epochs of a derivative, repetitions in the order of sessions, and the session of each trial from 0."""
    sessions = simulate_sessions(subject, seed, large=large)
    channels = [name for name in RECORDED if name in POSTERIOR] if authors else list(CHANNELS)
    whitened: dict[str, list[Epochs]] = {"train": [], "test": []}
    numbers, times = [], np.zeros(0)
    for session in sessions:
        cut = {
            part: _cut(joined(run), part, channels, 0.8 if authors else 1.0, 100 if authors else 250)
            for part, run in session.items()
        }
        numbers.append(cut["train"][1])
        times = cut["train"][2]
        data = {part: found[0] if authors else found[0][..., -250:] for part, found in cut.items()}
        if authors:
            noise = (_covariance(data["train"], "times") + _covariance(data["test"], "times")) / 2
        else:
            noise = _covariance(data["train"], "epochs")
        for part in whitened:
            whitened[part].append(_whiten(data[part], noise))
    test = np.concatenate(whitened["test"], axis=1)
    merged, of_session = [], []
    for number in range(1, len(names_of("train", large=large)) + 1):
        found = [(index, np.flatnonzero(shown == number)) for index, shown in enumerate(numbers)]
        merged.append(np.concatenate([whitened["train"][index][at[0]] for index, at in found if len(at)]))
        of_session.append(np.repeat([index for index, at in found if len(at)], REPETITIONS["train"]))
    sessions_of_test = np.tile(np.repeat(np.arange(len(sessions)), REPETITIONS["test"]), (len(test), 1))
    return {"train": np.stack(merged), "test": test}, {"train": np.stack(of_session), "test": sessions_of_test}, times


def _write_epochs(
    root: Path,
    subject: str,
    layout: str,
    data: dict[str, Epochs],
    of_session: dict[str, NDArray[np.int64]],
    times: NDArray[np.float64],
    large: bool,
) -> None:
    from sklearn.utils import shuffle

    if layout in ("A", "B"):
        channels = [name for name in RECORDED if name in POSTERIOR] if layout == "A" else list(CHANNELS)
        folder = root / ("preprocessed_data" if layout == "A" else "Preprocessed_data_250Hz") / subject
        folder.mkdir(parents=True)
        for part, name in (("train", "training"), ("test", "test")):
            order = shuffle(np.arange(data[part].shape[1]), random_state=SEED)
            content = {"preprocessed_eeg_data": data[part][:, order], "ch_names": channels, "times": times}
            path = folder / f"preprocessed_eeg_{name}.npy"
            if layout == "A":
                np.save(path, content)  # type: ignore[arg-type]
            else:
                with path.open("wb") as file:
                    pickle.dump(content, file, protocol=4)
    elif layout == "C":
        import torch

        folder = root / "Preprocessed_data_250Hz_whiten" / subject
        folder.mkdir(parents=True)
        for part in ("train", "test"):
            n_repetitions = data[part].shape[1]
            named = names_of(part, large=large)
            concepts = [concept for concept, _ in named]
            numbers = {concept: row for row, concept in enumerate(dict.fromkeys(concepts))}
            columns = {
                "label": np.array([numbers[concept] for concept in concepts]),
                "img": np.array(
                    [f"{part}_images/{numbers[concept] + 1:05d}_{concept}/{name}.jpg" for concept, name in named]
                ),
                "text": np.array(concepts),
            }
            content = {"eeg": data[part].astype(np.float16)}
            content |= {name: np.tile(values[:, None], (1, n_repetitions)) for name, values in columns.items()}
            content |= {"session": of_session[part].astype(np.float64), "ch_names": list(CHANNELS), "times": times}
            torch.save(content, folder / f"{part}.pt", pickle_protocol=5)
    else:
        folder = root / "preprocessed_eeg" / subject
        folder.mkdir(parents=True)
        shapes = {}
        for part, pictures in (("train", len(PICTURES_OF_CONCEPT)), ("test", 1)):
            signals = data[part].astype(np.float32)
            np.save(folder / f"{part}.npy", signals.reshape(-1, pictures, *signals.shape[1:]))
            shapes[part] = [len(signals), REPETITIONS[part], *signals.shape[2:]]
        write_json(
            folder / "info.json",
            {
                "ch_names": list(CHANNELS),
                "times": times.tolist(),
                "baseline_duration": 0.2,
                "after_duration": 1.0,
                "normalization": "mvnn",
                "sfreq": 250.0,
                "precision": "fp32",
                "seed": SEED,
                "train_data_shape": shapes["train"],
                "test_data_shape": shapes["test"],
            },
        )


def write_pictures(root: Path, layout: str, *, large: bool = False) -> None:
    """Write the list of pictures and the pictures, in the folders that the users of a layout have."""
    everything = sorted(concepts_of("train", large=large) + concepts_of("test", large=large))
    content: dict[str, list[str]] = {}
    small = layout == "C"
    folder = root / "Image_set_Resize" if small else root / "image_set"
    for part in ("train", "test"):
        named = names_of(part, large=large)
        concepts = [concept for concept, _ in named]
        numbers = {concept: f"{row + 1:05d}_{concept}" for row, concept in enumerate(dict.fromkeys(concepts))}
        content[f"{part}_img_concepts"] = [numbers[concept] for concept in concepts]
        content[f"{part}_img_concepts_THINGS"] = [
            f"{everything.index(concept) + 1:05d}_{concept}" for concept in concepts
        ]
        content[f"{part}_img_files"] = [f"{name}.jpg" for _, name in named]
        images = folder / (
            "train_images" if small and part == "train" else "training_images" if part == "train" else "test_images"
        )
        # Written in another order than listed.
        for concept, name in reversed(named):
            place = images / numbers[concept]
            place.mkdir(parents=True, exist_ok=True)
            picture = picture_of(name, size=48)
            (picture.resize((224, 224)) if small else picture).save(place / f"{name}.jpg", quality=95)
    np.save(folder / "image_metadata.npy" if not small else root / "image_metadata.npy", content)  # type: ignore[arg-type]
