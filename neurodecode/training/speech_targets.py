"""Embedding continuous speech: every stretch of audio on one side of the split by itself, as a series."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.files import folder_lock, read_json, sha256_of_file
from neurodecode.core.progress import progress_bar
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.stretches import MARGIN
from neurodecode.core.targets import Targets, TargetSpace, TargetWriter
from neurodecode.encoders.stimulus.audio import SAMPLING_RATE, read_audio
from neurodecode.encoders.stimulus.base import StimulusEncoder
from neurodecode.training.targets_extraction import check_contents, check_encoder, target_space

SHARD_SIZE = 64
SERIES_COLUMNS = ("series", "series_start", "series_stop", "series_onset")


def stretches_of(stimuli: Stimuli) -> pd.DataFrame:
    """List the stretches of audio of a prepared study: `series`, `path`, `series_start`, `series_stop`.

    Raises
    ------
    DataError
        If the table does not say where audio is cut, which `prepare` writes once the split is known.
    """
    missing = [column for column in SERIES_COLUMNS if column not in stimuli.table]
    if missing:
        raise DataError(
            f"stimuli: column {missing[0]!r} is missing; embed the prepared study, whose split says where audio is cut"
        )
    columns = ["series", "path", "series_start", "series_stop"]
    return stimuli.table[columns].drop_duplicates("series").sort_values("series").reset_index(drop=True)


def extract_speech_targets(stimuli: Stimuli, encoder: StimulusEncoder, folder: Path) -> dict[str, Targets]:
    """Compute the series of a prepared study's audio; what is done already is kept.

    Each stretch is read alone, with silence before and after it: no embedding hears another side of the split, nor what
    was said just before.

    Parameters
    ----------
    stimuli : Stimuli
        Of a prepared study: its table says where audio is cut.
    encoder : StimulusEncoder
        Of kind ``speech``.
    folder : Path
        Where the targets go, one folder a layer.

    Returns
    -------
    dict of str to Targets
        By layer. Read a segment with ``slice(series, series_onset, duration)``.

    Raises
    ------
    DataError
        If the encoder is none for sound, a file is missing or too short, or it has changed since.
    MismatchError
        If the folder holds targets of another encoder.
    """
    if encoder.kind != "speech":
        raise DataError(
            f"encoder {encoder.name} is for {encoder.kind}, expected one for speech: mel, whisper_tiny, wav2vec2"
        )
    stretches = stretches_of(stimuli)
    if stimuli.root is None:
        raise DataError("stimuli: the study has no folder of sound files")
    root, description = stimuli.root, encoder.fingerprint()
    digests: dict[str, str] = {}
    for name in sorted(set(stretches["path"].astype(str))):
        if not (root / name).is_file():
            raise DataError(f"{root / name}: no such sound file")
        digests[name] = sha256_of_file(root / name)
    contents = {str(row.series): digests[str(row.path)] for row in stretches.itertuples()}
    with folder_lock(folder):
        check_encoder(folder, description, encoder.layers())
        check_contents(folder, contents)
        writers: dict[str, TargetWriter] = {}
        for layer in encoder.layers():
            if (folder / layer / "space.json").exists():
                space = _stored_space(folder / layer)
                expected = target_space(description, layer, space.shape, rate=_rate(encoder))
                writers[layer] = TargetWriter(folder / layer, expected, shard_size=SHARD_SIZE)
        done = [writers[layer].done if layer in writers else set() for layer in encoder.layers()]
        waiting = stretches[[not all(name in names for names in done) for name in stretches["series"]]]
        if len(waiting):
            with progress_bar(f"embedding with {encoder.name}", total=len(waiting)) as advance:
                for name, wave in _waves(waiting, root):
                    for layer, values in encoder.encode([wave]).items():
                        if layer not in writers:
                            space = target_space(description, layer, values.shape[2:], rate=_rate(encoder))
                            writers[layer] = TargetWriter(folder / layer, space, shard_size=SHARD_SIZE)
                        if name not in writers[layer].done:
                            writers[layer].add(name, values[0])
                    advance(1)
        return {layer: writers[layer].close() for layer in encoder.layers()}


def _rate(encoder: StimulusEncoder) -> float:
    return float(encoder.fingerprint()["preprocessing"]["rate"])


def _stored_space(folder: Path) -> TargetSpace:
    return TargetSpace.from_dict(read_json(folder / "space.json"))


def _waves(stretches: pd.DataFrame, root: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Read each stretch with its margins of silence; where the file ends before the stretch, there is silence too."""
    margin = np.zeros(round(MARGIN * SAMPLING_RATE), dtype=np.float32)
    for path, rows in stretches.groupby("path", sort=False):
        whole = read_audio(root / str(path))
        for name, start, stop in zip(rows["series"], rows["series_start"], rows["series_stop"], strict=True):
            first, last = round(float(start) * SAMPLING_RATE), round(float(stop) * SAMPLING_RATE)
            if first >= len(whole):
                raise DataError(
                    f"{root / str(path)}: lasts {len(whole) / SAMPLING_RATE:.3f} s, but {name} begins later"
                )
            missing = np.zeros(max(0, last - len(whole)), dtype=np.float32)
            yield str(name), np.concatenate([margin, whole[first:last], missing, margin])
