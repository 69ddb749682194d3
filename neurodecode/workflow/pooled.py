"""A prepared study whose people are pooled as one: what a network for people it never met is trained on."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse import ArgumentParser
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, LeakageError, MismatchError
from neurodecode.core.files import atomic_folder, fingerprint, read_json, write_json, write_table
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Split
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.training.config_files import read_config
from neurodecode.training.configuration import compose
from neurodecode.training.prepared_task import EncoderFactory
from neurodecode.training.recipes import n_parameters
from neurodecode.training.short_names import import_built_ins
from neurodecode.workflow.decoding import Decode, Sequences, Vectors

#: The one subject of a pooled study, and the column that tells whose repetitions belong together.
EVERYBODY, ITEM = "sub-everybody", "item_of_person"


def pooled_copy(prepared: PreparedStudy, folder: Path) -> PreparedStudy:
    """Make a prepared study in which all people are one subject; parts and units of the split stay as they are.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    folder : Path
        Where the copy goes; signals are linked, not copied. A copy of the same study is opened, any other is replaced.

    Returns
    -------
    PreparedStudy
        One subject, `EVERYBODY`. Repetitions are averaged within a person only, and so are sessions scaled.

    Raises
    ------
    MismatchError
        If people differ in their channels or times.
    LeakageError
        If the folder holds something else.
    """
    mark = fingerprint(
        {
            "key": prepared.header["key"],
            "split": prepared.split.hash,
            "session_scaling": list(prepared.session_scaling),
            "shuffled": prepared.header.get("shuffled"),
            "subjects": prepared.subjects,
        }
    )
    if folder.exists():
        header = read_json(folder / "study.json") if (folder / "study.json").is_file() else {}
        if not header.get("pooled"):
            raise LeakageError(f"{folder}: holds something other than a pooled study; choose another folder")
        if header["pooled"] == mark:
            return PreparedStudy(folder)
        shutil.rmtree(folder)
    _check_layouts(prepared)
    averaging = str(prepared.info["averaging"])
    tables: list[pd.DataFrame] = []
    blocks: list[dict[str, Any]] = []
    offsets: dict[str, int] = {}
    flags: list[str] = []
    count = 0
    with atomic_folder(folder) as temporary:
        goal = temporary / EVERYBODY
        goal.mkdir()
        for name in ("stimuli.csv", "key.json"):
            shutil.copy2(prepared.folder / name, temporary / name)
        for person in prepared.subjects:
            header = read_json(prepared.folder / person / "recording.json")
            for position, entry in enumerate(header["blocks"]):
                for kind, end in (("block", "npy"), ("sensors", "npz")):
                    source = prepared.folder / person / f"{kind}-{position:03d}.{end}"
                    _link(source, goal / f"{kind}-{len(blocks):03d}.{end}")
                blocks.append({**entry, "name": f"{person}/{entry['name']}"})
            windows = prepared.recording(person).windows
            offsets[person] = count
            count += len(windows)
            own = {column: person + "/" + windows[column].astype(str) for column in ("block", "session", "run")}
            tables.append(
                windows.assign(subject=EVERYBODY, **own, **{ITEM: person + "/" + windows[averaging].astype(str)})
            )
            flags += header["flags"]
        table = pd.concat(tables, ignore_index=True)
        write_table(goal / "windows.csv", table)
        text = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
        write_json(
            goal / "recording.json",
            {**header, "subject": EVERYBODY, "flags": list(dict.fromkeys(flags)), "blocks": blocks,
             "n_windows": len(table), "text": text},
        )  # fmt: skip
        _pooled_split(prepared.split, offsets).save(temporary)
        info = {**prepared.info, "averaging": ITEM}
        write_json(temporary / "study.json", {**prepared.header, "info": info, "subjects": [EVERYBODY], "pooled": mark})
    return PreparedStudy(folder)


def _pooled_split(split: Split, offsets: Mapping[str, int]) -> Split:
    table = split.table.copy()
    table["window"] = table["window"] + table["subject"].map(offsets)
    table["subject"] = EVERYBODY
    return Split(table, split.unit, f"{split.rule}; all people pooled", split.seed)


def _check_layouts(prepared: PreparedStudy) -> None:
    first = prepared.recording(prepared.subjects[0])
    for person in prepared.subjects[1:]:
        other = prepared.recording(person)
        if (other.sensors.names, other.n_times) != (first.sensors.names, first.n_times):
            raise MismatchError(
                f"{person}: has {other.n_channels} channels and {other.n_times} times, but {first.subject} has "
                f"{first.n_channels} and {first.n_times}; a network for people who are left out needs one layout"
            )


def _link(source: Path, goal: Path) -> None:
    try:
        os.link(source, goal)
    except OSError:  # another file system
        shutil.copy2(source, goal)


def require_no_subject_parts(
    configs: Sequence[Path], prepared: PreparedStudy, shapes: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a network with parts of its own for each person: it has none for somebody it never met.

    Found by building the encoder for one and for two people, without memory.

    Parameters
    ----------
    configs : sequence of Path
        YAML files, composed from left to right.
    prepared : PreparedStudy
        For channels and times.
    shapes : mapping of str to sequence of int
        Shape of each target.

    Raises
    ------
    ConfigError
        Naming what belongs to a person, and what to do.
    """
    merged = compose(read_config(path) for path in configs)
    encoder = merged.get("model", {}).get("init_args", {}).get("encoder")
    if encoder is None:
        raise ConfigError(f"{configs[0]}: got no model.init_args.encoder, expected the encoder of a network")
    import_built_ins()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--encoder", type=EncoderFactory)
    build: Callable[..., torch.nn.Module] = parser.instantiate(parser.parse_object({"encoder": encoder})).encoder
    form = merged.get("data", {}).get("init_args", {}).get("target_form", "components")
    targets: dict[str, Any] = {
        name: int(np.prod(shape)) if form == "components" or len(shape) == 1 else list(shape)
        for name, shape in shapes.items()
    }
    first = prepared.recording(prepared.subjects[0])
    layout = SensorLayout.of(first.sensors)
    found = []
    with torch.device("meta"):
        for count in (1, 2):
            sensors = SubjectSensors({f"sub-{number}": layout for number in range(count)})
            found.append(build(sensors, first.n_times, targets))
    if n_parameters(found[0]) != n_parameters(found[1]):
        sizes = [{name: value.shape for name, value in network.named_parameters()} for network in found]
        own = next(name for name, shape in sizes[1].items() if sizes[0].get(name) != shape)
        raise ConfigError(
            f"{Path(configs[0]).stem}: has parts for each person ({own}), but the split leaves people out; expected a "
            "network without them, such as front_end Identity and linear_path false (or bring it to them with "
            "`neurodecode adapt --strategies zero_shot`)"
        )


def as_everybody(decode: Decode) -> Decode:
    """Let networks of a pooled study decode the signals of any person."""

    def of_anybody(
        fold: int, subject: str, signals: NDArray[np.float32], sequences: Sequences | None = None, /
    ) -> Vectors:
        return decode(fold, EVERYBODY, signals, sequences)

    return of_anybody
