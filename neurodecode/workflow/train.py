"""Train the network of a fold with the command line's own `fit`, once: a finished training is loaded again."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import fingerprint, read_json, sha256_of_file, write_json
from neurodecode.core.kept import computed_by
from neurodecode.core.prepared import PreparedStudy
from neurodecode.training.command_line import run
from neurodecode.training.decode_task import DecodeTask
from neurodecode.workflow.decoding import Decode, Sequences, in_sequences

DONE = "trained.json"
#: What trains: our own code, the linear models that a network may start from included, and the libraries.
TRAINING = (
    [
        "neurodecode.core.transforms",
        "neurodecode.training",
        "neurodecode.encoders.brain",
        "neurodecode.encoders.linear",
    ],
    ["numpy", "scipy", "torch", "lightning"],
)


def train_decoder(
    prepared: PreparedStudy,
    targets: Mapping[str, Path],
    folder: Path,
    *,
    configs: Sequence[Path],
    fold: int,
    seed: int,
    subjects: Sequence[str],
    overrides: Sequence[str] = (),
) -> Path:
    """Train on one fold, or find that it was trained already with the same data, configuration, seed and code.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    targets : mapping of str to Path
        Folder of targets of each layer.
    folder : Path
        Where logs, configuration and checkpoints go.
    configs : sequence of Path
        YAML files, composed from left to right.
    fold : int
        Which fold.
    seed : int
        Of weights, order and augmentation.
    subjects : sequence of str
        Trained together.
    overrides : sequence of str
        Further arguments of ``neurodecode fit``.

    Returns
    -------
    Path
        The checkpoint with the best validation score.
    """
    key = fingerprint(
        {
            "by": computed_by(*TRAINING),
            "study": prepared.header["key"],
            "shuffled": prepared.header.get("shuffled"),
            "split": prepared.split.hash,
            "session_scaling": list(prepared.session_scaling),
            "targets": {name: read_json(path / "complete.json") for name, path in targets.items()},
            "configs": [path.read_text(encoding="utf-8") for path in configs],
            "fold": fold,
            "seed": seed,
            "subjects": list(subjects),
            "overrides": list(overrides),
        }
    )
    marker = folder / DONE
    if marker.is_file():
        known = read_json(marker)
        checkpoint = folder / str(known["checkpoint"])
        if known["key"] == key and checkpoint.is_file() and known.get("sha256") == sha256_of_file(checkpoint):
            return checkpoint
    arguments: list[str] = []
    for path in configs:
        arguments += ["--config", str(path)]
    arguments += [
        f"--seed_everything={seed}",
        f"--data.study={prepared.folder}",
        "--data.targets=" + _mapping({name: str(path) for name, path in targets.items()}),
        f"--data.fold={fold}",
        "--data.subjects=[" + ",".join(subjects) + "]",
        f"--data.seed={seed}",
        f"--trainer.default_root_dir={folder}",
        *overrides,
    ]
    run("fit", arguments)
    found = sorted(folder.rglob("best*.ckpt"))
    if len(found) != 1:
        raise DataError(f"{folder}: {len(found)} checkpoints called best*.ckpt after training, expected one")
    place = str(found[0].relative_to(folder))
    write_json(marker, {"key": key, "checkpoint": place, "sha256": sha256_of_file(found[0])})
    return found[0]


def _mapping(values: Mapping[str, str]) -> str:
    return "{" + ",".join(f'"{name}":"{value}"' for name, value in values.items()) + "}"


def decoder_of(checkpoints: Mapping[tuple[int, str], Path]) -> Decode:
    """Give the function that decodes signals with the checkpoint of a fold and subject.

    Parameters
    ----------
    checkpoints : mapping of (fold, subject) to Path
        Several subjects may share one.

    Returns
    -------
    Decode
        Checkpoints are loaded once.
    """

    @lru_cache(maxsize=8)
    def load(path: Path) -> DecodeTask:
        task: Any = DecodeTask.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        return task.eval()  # type: ignore[no-any-return]

    def decode(
        fold: int, subject: str, signals: NDArray[np.float32], sequences: Sequences | None = None, /
    ) -> dict[str, NDArray[np.float32]]:
        if (fold, subject) not in checkpoints:
            raise DataError(f"no network was trained for {subject}, fold {fold}")
        return load(checkpoints[fold, subject]).decode(subject, signals, ranking=True, **in_sequences(sequences))

    return decode
