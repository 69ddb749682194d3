"""Running a frozen encoder over stimuli, shard by shard, so that an interrupted run goes on where it stopped."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.files import (
    fingerprint,
    folder_lock,
    read_json,
    read_table,
    write_json,
    write_table,
)
from neurodecode.core.progress import progress_bar
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.targets import Targets, TargetSpace, TargetWriter
from neurodecode.encoders.stimulus.base import StimulusEncoder

ENCODER_FILE = "encoder.json"
CONTENTS_FILE = "contents.csv"
SHARD_SIZE = 128


def target_space(
    description: Mapping[str, Any], layer: str, shape: Sequence[int], *, rate: float | None = None
) -> TargetSpace:
    """Say in which space an encoder's layer lives.

    Parameters
    ----------
    description : mapping of str to Any
        What the encoder's `fingerprint` gave.
    layer : str
        One of its layers.
    shape : sequence of int
        Of one embedding: ``(dim,)`` or ``(n_tokens, dim)``; of one frame of a series.
    rate : float, optional
        Frames per second of a series.

    Returns
    -------
    TargetSpace
        The space.

    Examples
    --------
    >>> from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
    >>> target_space(build_stimulus_encoder("pixels", size=2).fingerprint(), "pixels", (12,)).label
    'pixels/pixels/flatten'
    """
    return TargetSpace(
        model=str(description["model"]),
        weights=str(description["weights"]),
        layer=layer,
        pooling=str(description["pooling"][layer]),
        preprocessing=fingerprint(description["preprocessing"]),
        normalised=bool(description["normalised"][layer]),
        kind="series" if rate is not None else "tokens" if len(shape) == 2 else "vector",
        shape=tuple(int(size) for size in shape),
        rate=rate,
    )


def extract_study_targets(
    stimuli: Stimuli, encoder: StimulusEncoder, folder: Path, *, shard_size: int = SHARD_SIZE
) -> dict[str, Targets]:
    """Compute the targets of a study's stimuli: of their pictures, or of their texts for a text encoder.

    Parameters
    ----------
    stimuli : Stimuli
        The study's table. A picture encoder needs files, a text encoder the column ``text``.
    encoder : StimulusEncoder
        The frozen model.
    folder : Path
        Where the targets go, one folder a layer.
    shard_size : int
        Stimuli per shard, which is also how much work an interruption can cost.

    Returns
    -------
    dict of str to Targets
        By layer.

    Raises
    ------
    DataError
        If a picture is missing or broken, a text is empty, or a stimulus is not what the folder's targets were made of.
    MismatchError
        If the folder holds targets of another encoder.
    """
    if encoder.kind == "text":
        texts = dict(zip(stimuli.names, (str(text) for text in stimuli.table["text"]), strict=True))
        empty = [name for name, text in texts.items() if not text.strip()]
        if empty:
            raise DataError(
                f"stimulus {empty[0]!r} has no text, which {encoder.name} encodes; expected a picture encoder"
            )
        contents = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        return extract_targets(
            stimuli.names, texts.__getitem__, encoder, folder, contents=contents, shard_size=shard_size
        )
    not_pictures = [name for name, kind in zip(stimuli.names, stimuli.table["kind"], strict=True) if kind != "image"]
    if not_pictures:
        kind = stimuli.get(not_pictures[0])["kind"]
        raise DataError(
            f"stimulus {not_pictures[0]!r} is a {kind}, but {encoder.name} encodes pictures; expected a text encoder"
        )
    contents = {name: stimuli.content(name) for name in stimuli.names}
    return extract_targets(stimuli.names, stimuli.picture, encoder, folder, contents=contents, shard_size=shard_size)


def extract_targets(
    stimuli: Sequence[str],
    load: Callable[[str], Image.Image | str],
    encoder: StimulusEncoder,
    folder: Path,
    *,
    contents: Mapping[str, str] | None = None,
    shard_size: int = SHARD_SIZE,
) -> dict[str, Targets]:
    """Compute the targets of some stimuli; what is done already is kept.

    The stimuli of a shard are always encoded together, so a run that was interrupted and one that was not write the
    same bytes. Two processes may work on one folder: the second waits and finds the work done.

    Parameters
    ----------
    stimuli : sequence of str
        Identifiers, each once.
    load : callable
        From an identifier to a picture or a text. It runs in a thread beside the encoder.
    encoder : StimulusEncoder
        The frozen model.
    folder : Path
        Where the targets go: one folder a layer, ``encoder.json`` and ``contents.csv``.
    contents : mapping of str to str, optional
        A digest of each stimulus' content. Targets in the folder that were made of another content are an error.
    shard_size : int
        Stimuli per shard.

    Returns
    -------
    dict of str to Targets
        By layer, shallow to deep, whole and opened.

    Raises
    ------
    DataError
        If there are no stimuli, one is listed twice, or its content has changed.
    MismatchError
        If the folder holds targets of another encoder, preprocessing, layer or pooling.
    """
    if not stimuli or len(set(stimuli)) != len(stimuli):
        raise DataError(f"stimuli: got {len(stimuli)}, {len(set(stimuli))} of them different, expected each once")
    description = encoder.fingerprint()
    with folder_lock(folder):
        check_encoder(folder, description, encoder.layers())
        check_contents(folder, {name: (contents or {}).get(name, "") for name in stimuli})
        writers = _resume(folder, description, encoder.layers(), shard_size)
        done = [writers[layer].done if layer in writers else set() for layer in encoder.layers()]
        waiting = [name for name in stimuli if not all(name in names for names in done)]
        shards = [waiting[start : start + shard_size] for start in range(0, len(waiting), shard_size)]
        if shards:
            with progress_bar(f"embedding with {encoder.name}", total=len(waiting)) as advance:
                for shard, features in _encoded(shards, load, encoder):
                    _store(shard, features, writers, folder, description, shard_size)
                    advance(len(shard))
        return {layer: writers[layer].close() for layer in encoder.layers()}


def listed_layers(folder: Path) -> list[str]:
    """Read the order of the layers from a folder of targets.

    Parameters
    ----------
    folder : Path
        What `extract_targets` filled.

    Returns
    -------
    list of str
        Shallow to deep; empty if the folder does not say.

    Raises
    ------
    DataError
        If what it says is no list of names.
    """
    path = folder / ENCODER_FILE
    if not path.exists():
        return []
    saved = read_json(path)
    layers = saved.get("layers", []) if isinstance(saved, dict) else None
    if not isinstance(layers, list) or not all(isinstance(name, str) for name in layers):
        raise DataError(f"{path}: layers is {layers!r}, expected a list of names")
    return layers


def check_encoder(folder: Path, description: Mapping[str, Any], layers: Sequence[str]) -> None:
    """Refuse targets of another encoder; note the order of the layers, those of earlier runs included."""
    own = {key: description[key] for key in ("model", "weights", "preprocessing")}
    path = folder / ENCODER_FILE
    if not path.exists():
        write_json(path, {**own, "layers": list(layers)})
        return
    saved = read_json(path)
    there = {key: value for key, value in saved.items() if key != "layers"} if isinstance(saved, dict) else {}
    if fingerprint(there) != fingerprint(own):
        differing = [key for key, value in own.items() if there.get(key) != value]
        raise MismatchError(
            f"{folder}: holds targets of another encoder than {own['model']}; they differ in {', '.join(differing)}; "
            "give another folder"
        )
    known = listed_layers(folder)
    # The longer list knows the depth of more layers; what only the other one names comes after it.
    first, second = (list(layers), known) if len(layers) >= len(known) else (known, list(layers))
    merged = [*first, *(name for name in second if name not in first)]
    if merged != known:
        write_json(path, {**own, "layers": merged})


def check_contents(folder: Path, contents: Mapping[str, str]) -> None:
    """Refuse stimuli whose content is not what the folder's targets were made of; note that of new ones."""
    path = folder / CONTENTS_FILE
    saved: dict[str, str] = {}
    if path.exists():
        table = read_table(path, required=("stimulus", "content"), text=("stimulus", "content"))
        saved = dict(zip(table["stimulus"], table["content"], strict=True))
    changed = [name for name, content in contents.items() if saved.get(name, content) != content]
    if changed:
        raise DataError(
            f"{folder}: stimulus {changed[0]!r} ({len(changed)} in all) is not what these targets were made of; "
            "delete the folder or give another"
        )
    if not contents.keys() <= saved.keys():
        merged = {**saved, **contents}
        write_table(path, pd.DataFrame({"stimulus": list(merged), "content": list(merged.values())}))


def _resume(
    folder: Path, description: Mapping[str, Any], layers: Sequence[str], shard_size: int
) -> dict[str, TargetWriter]:
    writers = {}
    for layer in layers:
        if (folder / layer / "space.json").exists():
            shape = TargetSpace.from_dict(read_json(folder / layer / "space.json")).shape
            space = target_space(description, layer, shape)
            writers[layer] = TargetWriter(folder / layer, space, shard_size=shard_size)
    return writers


def _encoded(
    shards: Sequence[Sequence[str]], load: Callable[[str], Image.Image | str], encoder: StimulusEncoder
) -> Iterator[tuple[Sequence[str], dict[str, NDArray[np.float32]]]]:
    # Pictures of the next shard are read while this one is encoded.
    with ThreadPoolExecutor(max_workers=1) as executor:
        coming = executor.submit(_load_all, shards[0], load)
        for position, shard in enumerate(shards):
            inputs = coming.result()
            if position + 1 < len(shards):
                coming = executor.submit(_load_all, shards[position + 1], load)
            yield shard, encoder.encode(inputs)


def _load_all(shard: Sequence[str], load: Callable[[str], Image.Image | str]) -> list[Image.Image | str]:
    return [load(name) for name in shard]


def _store(
    shard: Sequence[str],
    features: Mapping[str, NDArray[np.float32]],
    writers: dict[str, TargetWriter],
    folder: Path,
    description: Mapping[str, Any],
    shard_size: int,
) -> None:
    for layer, values in features.items():
        if layer not in writers:
            space = target_space(description, layer, values.shape[1:])
            writers[layer] = TargetWriter(folder / layer, space, shard_size=shard_size)
        writer = writers[layer]
        for name, value in zip(shard, values, strict=True):
            # After an interruption one layer may be a shard ahead of another.
            if name not in writer.done:
                writer.add(name, value)
        writer.flush()
