"""A small prepared study of pictures and electrodes with a planted linear code, its targets, and a trained network."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split, leave_one_out_split, published_split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.core.targets import TargetSpace, TargetWriter
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.retrieve import Retrieval, rank_study

N_TRAIN, N_VALIDATION, N_TEST, N_REPETITIONS = 60, 32, 24, 3
N_STIMULI = N_TRAIN + N_VALIDATION + N_TEST
N_CHANNELS, N_TIMES, N_DIMS = 8, 4, 6
NAMES = [f"s{number:03d}" for number in range(N_STIMULI)]
PARTS = ["train"] * N_TRAIN + ["val"] * N_VALIDATION + ["test"] * N_TEST
VOLTS = 1e-5


def embeddings() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(N_STIMULI, N_DIMS)).astype(np.float32)


class SmallStudy(Study):
    """Every stimulus three times, in one split whose stimuli are disjoint."""

    info: ClassVar[StudyInfo] = StudyInfo(
        name="small",
        modality="eeg",
        kind="image",
        description="Planted.",
        citation="none",
        licence="none",
        where="",
        size="",
        simulated=True,
    )
    n_stimuli, n_repetitions, repetitions_a_run = N_STIMULI, N_REPETITIONS, 1
    noise = 1.0

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        return data_root

    def subjects(self) -> list[str]:
        return ["sub-01", "sub-02"]

    def stimuli(self) -> Stimuli:
        names = NAMES[: self.n_stimuli]
        paths = [f"{name}.png" for name in names]
        colours = np.random.default_rng(3).integers(0, 256, size=(N_STIMULI, 3), dtype=np.uint8)
        for path, colour in zip(paths, colours, strict=False):
            if not (self.root / path).exists():
                Image.fromarray(np.broadcast_to(colour, (12, 12, 3)).copy()).save(self.root / path)
        table = {"stimulus": names, "kind": "image", "path": paths, "concept": names, "text": names}
        return Stimuli(pd.DataFrame(table), root=self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        generator = np.random.default_rng(self.subjects().index(subject))
        sensors = Sensors(
            names=tuple(f"E{channel}" for channel in range(N_CHANNELS)),
            kinds=("eeg",) * N_CHANNELS,
            sfreq=50.0,
            tmin=0.0,
            unit="V",
        )
        shown = np.tile(np.arange(self.n_stimuli), self.n_repetitions)
        weights = generator.normal(size=(N_DIMS, N_CHANNELS * N_TIMES))
        signal = embeddings()[shown] @ weights + self.noise * generator.normal(size=(len(shown), N_CHANNELS * N_TIMES))
        data = (VOLTS * signal).reshape(len(shown), N_CHANNELS, N_TIMES).astype(np.float32)
        repetition = np.repeat(np.arange(self.n_repetitions), self.n_stimuli)
        run = repetition // self.repetitions_a_run + 1
        windows = pd.DataFrame(
            {
                "subject": subject,
                "session": "",
                "run": run.astype(str),
                "block": "all",
                "start": np.arange(len(shown)),
                "length": N_TIMES,
                "stimulus": np.array(NAMES)[shown],
                "repetition": repetition,
                "onset": np.arange(len(shown), dtype=float),
            }
        )
        return Recording(subject, "eeg", {"all": Block("all", data, sensors)}, windows, simulated=self.info.simulated)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        return published_split(
            windows, dict(zip(NAMES, PARTS, strict=True)), column="stimulus", unit="stimulus", rule="planted"
        )

    def steps(self) -> dict[str, Any]:
        return {"stimuli": self.n_stimuli, "repetitions": self.n_repetitions}


class RunsStudy(SmallStudy):
    """Ten stimuli that come again in every run; each run is tested once, by models of the others."""

    info: ClassVar[StudyInfo] = StudyInfo(
        name="runs",
        modality="eeg",
        kind="image",
        description="Planted.",
        citation="none",
        licence="none",
        where="",
        size="",
        simulated=False,
    )
    n_stimuli, n_repetitions, repetitions_a_run = 10, 12, 2
    noise = 5.0

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        return leave_one_out_split(windows, columns=("run",), unit="run", validation_units=1, seed=0)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(SmallStudy(tmp_path_factory.mktemp("small")), tmp_path_factory.mktemp("cache") / "small")


@pytest.fixture(scope="session")
def runs_study(tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(RunsStudy(tmp_path_factory.mktemp("runs")), tmp_path_factory.mktemp("cache") / "runs")


@pytest.fixture(scope="session")
def targets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    values = embeddings()
    for layer, rows in (("first", values[:, :4]), ("last", values[:, 2:])):
        writer = TargetWriter(folder / layer, space_of(layer))
        for name, row in zip(NAMES, rows, strict=True):
            writer.add(name, row)
        writer.close()
    return folder


def space_of(layer: str) -> TargetSpace:
    return TargetSpace("planted", "00", layer, "none", "none", False, "vector", (4,))


@pytest.fixture(scope="session")
def bank(targets_folder: Path) -> TargetBank:
    return TargetBank.open(targets_folder)


@pytest.fixture(scope="session")
def of_runs(runs_study: PreparedStudy, bank: TargetBank) -> Retrieval:
    return rank_study(runs_study, bank, decode=None, seed=0, subjects=["sub-01"])


@pytest.fixture(scope="session")
def trained(small_study: PreparedStudy, targets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a linear network that was trained with the program's own `fit`."""
    from neurodecode.workflow.train import train_decoder

    folder = tmp_path_factory.mktemp("network")
    config = folder / "network.yaml"
    config.write_text(
        """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args: {linear_path: true, backbone: {class_path: Linear}}
    warm_start: ridge
    objectives: [{class_path: Regression}]
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.00001, weight_decay: 0.0}}
data:
  class_path: BrainDataModule
  init_args: {transforms: [{name: standardize}]}
trainer:
  max_epochs: 1
  accelerator: cpu
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {monitor: val/mrr, mode: max, filename: best, enable_version_counter: false}
""",
        encoding="utf-8",
    )
    places = {layer: targets_folder / layer for layer in ("first", "last")}
    train_decoder(small_study, places, folder / "run", configs=[config], fold=0, seed=0, subjects=small_study.subjects)
    return folder / "run"


class AlikeStudy(SmallStudy):
    """Three people with the same code in their brains."""

    info = replace(SmallStudy.info, name="alike")
    noise = 2.0
    alike = True

    def subjects(self) -> list[str]:
        return ["sub-01", "sub-02", "sub-03"]

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        found = super().load(subject, sfreq=sfreq, store=store)
        if not self.alike:
            return found
        shown = found.windows["stimulus"].map({name: row for row, name in enumerate(NAMES)}).to_numpy()
        weights = np.random.default_rng(99).normal(size=(N_DIMS, N_CHANNELS * N_TIMES))
        noise = np.random.default_rng([5, int(subject[-2:])]).normal(size=(len(shown), N_CHANNELS * N_TIMES))
        data = (VOLTS * (embeddings()[shown] @ weights + self.noise * noise)).reshape(len(shown), N_CHANNELS, N_TIMES)
        block = replace(found.blocks["all"], data=data.astype(np.float32))
        return replace(found, blocks={"all": block})


@pytest.fixture
def across_study(tmp_path: Path) -> Callable[[bool], PreparedStudy]:
    """Give a study whose subjects are left out one by one, with brains that are alike or not."""

    def prepare(alike: bool) -> PreparedStudy:
        study = AlikeStudy(tmp_path)
        study.alike = alike
        return prepare_study(study, tmp_path / "cache", split="leave_one_subject_out")

    return prepare
