"""Four people with nearly the same code, a network of three of them, and a budget of the fourth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.budget import parse_budget
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Recording
from neurodecode.training.adaptation import Source, read_source
from neurodecode.workflow.budget_study import budget_study
from neurodecode.workflow.train import train_decoder

from .conftest import N_CHANNELS, N_DIMS, N_TIMES, NAMES, VOLTS, SmallStudy, embeddings

NETWORK = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {class_path: SubjectLayer}
        backbone: {class_path: Linear, init_args: {width: 12}}
        linear_path: true
    objectives: [{class_path: Regression}]
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01, weight_decay: 0.01}}
data:
  class_path: BrainDataModule
  init_args: {transforms: [{name: standardize}], batch_size: 64}
trainer:
  max_epochs: 25
  accelerator: cpu
  enable_progress_bar: false
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {monitor: val/mrr, mode: max, filename: best, enable_version_counter: false}
"""
KNOWN, NEW = ("sub-01", "sub-02", "sub-03"), "sub-04"


class SharedCode(SmallStudy):
    """Four people with nearly the same code, in two sessions of each."""

    info = replace(SmallStudy.info, name="shared")
    noise = 6.0

    def subjects(self) -> list[str]:
        return [*KNOWN, NEW]

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        found = super().load(subject, sfreq=sfreq, store=store)
        shown = found.windows["stimulus"].map({name: row for row, name in enumerate(NAMES)}).to_numpy()
        own = np.random.default_rng([5, int(subject[-2:])])
        weights = np.random.default_rng(99).normal(size=(N_DIMS, N_CHANNELS * N_TIMES))
        weights = weights + 0.2 * own.normal(size=weights.shape)
        data = embeddings()[shown] @ weights + self.noise * own.normal(size=(len(shown), N_CHANNELS * N_TIMES))
        data = (VOLTS * data).reshape(len(shown), N_CHANNELS, N_TIMES).astype(np.float32)
        block = replace(found.blocks["all"], data=data)
        windows = found.windows.assign(session=np.where(found.windows["repetition"] == 0, "1", "2"))
        return replace(found, blocks={"all": block}, windows=windows)


class FewerChannels(SharedCode):
    """The second person lacks an electrode, and the third has another one instead."""

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        found = super().load(subject, sfreq=sfreq, store=store)
        block, names = found.blocks["all"], list(found.sensors.names)
        if subject == KNOWN[1]:
            sensors, data = block.sensors.pick(names[1:]), np.ascontiguousarray(block.data[:, 1:])
        elif subject == KNOWN[2]:
            sensors, data = replace(block.sensors, names=(*names[:-1], "elsewhere")), block.data
        else:
            return found
        return replace(found, blocks={"all": replace(block, sensors=sensors, data=data)})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(SharedCode(tmp_path_factory.mktemp("shared")), tmp_path_factory.mktemp("cache") / "shared")


@pytest.fixture(scope="module")
def places(targets_folder: Path) -> dict[str, Path]:
    return {layer: targets_folder / layer for layer in ("first", "last")}


@pytest.fixture(scope="module")
def checkpoint(shared: PreparedStudy, places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    (folder / "network.yaml").write_text(NETWORK, encoding="utf-8")
    return train_decoder(
        shared, places, folder / "run", configs=[folder / "network.yaml"], fold=0, seed=0, subjects=KNOWN
    )


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Source:
    return read_source(checkpoint)


@pytest.fixture(scope="module")
def small(shared: PreparedStudy, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    folder = tmp_path_factory.mktemp("budgets") / "small"
    return budget_study(shared, NEW, parse_budget("40 trials"), folder, order="chronological", seed=0)


def texts(places: dict[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in places.items()}


def value(table: pd.DataFrame, strategy: str, budget: str = "40 trials", metric: str = "mrr") -> float:
    rows = table[(table["direction"] == "image_given_brain") & (table["metric"] == metric)]
    return float(rows.set_index(["budget", "strategy"]).loc[(budget, strategy), "value"])
