"""A tiny prepared study with a planted linear code, and targets for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split, published_split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.core.targets import TargetSpace, TargetWriter

N_STIMULI, N_REPETITIONS, N_TIMES, N_DIMS = 40, 3, 6, 5
CHANNELS = {"sub-01": 7, "sub-02": 9}
PARTS = ["train"] * 24 + ["val"] * 8 + ["test"] * 8


def stimulus_names() -> list[str]:
    return [f"s{number:02d}" for number in range(N_STIMULI)]


def embeddings() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(N_STIMULI, N_DIMS)).astype(np.float32)


class TinyStudy(Study):
    info: ClassVar[StudyInfo] = StudyInfo(
        name="tiny",
        modality="fmri",
        kind="image",
        description="Planted.",
        citation="",
        licence="",
        where="",
        size="",
        simulated=True,
    )
    channels: ClassVar[Mapping[str, int]] = CHANNELS

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        return data_root

    def subjects(self) -> list[str]:
        return list(self.channels)

    def stimuli(self) -> Stimuli:
        names = stimulus_names()
        table = {"stimulus": names, "kind": "image", "path": "", "concept": names, "text": ""}
        return Stimuli(pd.DataFrame(table))

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        count = self.channels[subject]
        generator = np.random.default_rng(list(self.channels).index(subject))
        sensors = Sensors(
            names=tuple(f"E{channel}" for channel in range(count)),
            kinds=("voxel",) * count,
            sfreq=50.0,
            tmin=0.0,
            unit="V",
            regions={"front": np.arange(count) < 3},
        )
        shown = np.tile(np.arange(N_STIMULI), N_REPETITIONS)
        weights = generator.normal(size=(N_DIMS, count * N_TIMES))
        signal = embeddings()[shown] @ weights + 0.5 * generator.normal(size=(len(shown), count * N_TIMES))
        data = signal.reshape(len(shown), count, N_TIMES).astype(np.float32)
        windows = pd.DataFrame(
            {
                "subject": subject,
                "session": "",
                "run": "1",
                "block": "all",
                "start": np.arange(len(shown)),
                "length": N_TIMES,
                "stimulus": np.array(stimulus_names())[shown],
                "repetition": np.repeat(np.arange(N_REPETITIONS), N_STIMULI),
                "onset": 0.0,
            }
        )
        return Recording(subject, "fmri", {"all": Block("all", data, sensors)}, windows, simulated=True)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        parts = dict(zip(stimulus_names(), PARTS, strict=True))
        return published_split(windows, parts, column="stimulus", unit="stimulus", rule="planted")

    def steps(self) -> dict[str, Any]:
        return {"subjects": dict(self.channels)}


def write_targets(folder: Path, values: np.ndarray, layer: str) -> Path:
    space = TargetSpace("planted", "00", layer, "none", "none", False, "vector", (values.shape[1],))
    writer = TargetWriter(folder, space)
    for name, value in zip(stimulus_names(), values, strict=True):
        writer.add(name, value)
    writer.close()
    return folder


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    root = tmp_path_factory.mktemp("source")
    return prepare_study(TinyStudy(root), tmp_path_factory.mktemp("cache") / "tiny")


@pytest.fixture(scope="session")
def tiny_targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("targets")
    values = embeddings()
    return {
        "first": str(write_targets(folder / "first", values[:, :3], "first")),
        "second.1": str(write_targets(folder / "second", values[:, 2:], "second.1")),
    }


@pytest.fixture(scope="session")
def tiny_study_class() -> type[TinyStudy]:
    return TinyStudy


@pytest.fixture(scope="session")
def planted() -> np.ndarray:
    """The embedding that drives every stimulus's signal, in the order of the stimuli's names."""
    return embeddings()
