"""Adapting to a new subject: what is trained, what is looked at, and whether it helps where something is shared."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurodecode.cli.main import main
from neurodecode.core.array_store import ArrayStore
from neurodecode.core.budget import parse_budget
from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.core.files import read_json
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Recording
from neurodecode.encoders.linear.group import GroupResponses
from neurodecode.encoders.linear.group_prior import fit_group_model
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source, network_strategy, read_source
from neurodecode.training.adaptation_data import BudgetData
from neurodecode.training.adaptation_fit import BestOfValidation, adapt_network
from neurodecode.training.adaptation_start import known_parts, own_parts, start_task
from neurodecode.training.low_rank import RANK, merge_low_rank
from neurodecode.workflow import adapt
from neurodecode.workflow.adapt import run_adaptation
from neurodecode.workflow.adapt_plan import AdaptationPlan
from neurodecode.workflow.adapt_scores import gap_closed
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.budget_study import budget_study
from neurodecode.workflow.items import fold_items
from neurodecode.workflow.shuffle import shuffled_copy
from neurodecode.workflow.train import train_decoder

from .conftest import N_CHANNELS, N_DIMS, N_REPETITIONS, N_TIMES, N_TRAIN, NAMES, VOLTS, SmallStudy, embeddings

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


def weights_of(task: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in task.state_dict().items()}


def test_what_belongs_to_a_subject(source: Source, small: PreparedStudy, places: dict[str, Path]) -> None:
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=_texts(places))
    own = own_parts(source, data.interface)
    assert own == {
        "encoder.front_end.mixing.matrices": None,
        "encoder.linear_path.maps.0.weight": 3,
        "encoder.linear_path.maps.0.bias": 3,
    }
    second = known_parts(source, "encoder.linear_path.maps.0.bias", 3, ["sub-02"])[0]
    assert torch.equal(second, source.state["encoder.linear_path.maps.1.bias"])


@pytest.mark.parametrize("name", list(NETWORK_STRATEGIES))
def test_trains_exactly_what_it_names(
    name: str, source: Source, small: PreparedStudy, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = network_strategy(name)
    data = BudgetData(source, own_targets=name == "scratch", study=str(small.folder), targets=_texts(places))
    before = start_task(source, data.interface, strategy, seed=0)
    start = weights_of(before)
    # The last epoch is taken, so that training which validates worse than the start counts as well.
    chooses = BestOfValidation.on_validation_end

    def take_last(self: BestOfValidation, *arguments: Any) -> None:
        self.best = -float("inf")
        chooses(self, *arguments)

    monkeypatch.setattr(BestOfValidation, "on_validation_end", take_last)
    task, report = adapt_network(source, small.folder, places, strategy, seed=0, epochs=3, patience=9)
    assert report["epochs"] == (0 if name == "zero_shot" else 3)
    front, own = "encoder.front_end.mixing.matrices", "encoder.linear_path.maps.0.weight"
    layer = "encoder.backbone.reduction.weight"
    named = {
        "zero_shot": set(),
        "front_end": {front},
        "reset": {front, own, own.replace("weight", "bias")},
        "full": set(start),
        "scratch": set(start),
        "lora": {front},
    }[name]
    own_names = own_parts(source, data.interface)
    for key, weight in task.state_dict().items():
        if name not in ("scratch", "lora") and key not in own_names and key not in named:
            assert torch.equal(weight, source.state[key]), key
        if key in start and key not in named:
            assert torch.equal(weight, start[key]), key
        if key in named:
            assert not torch.equal(weight, start[key]), key
    trained = {key for key, weight in before.named_parameters() if weight.requires_grad}
    if name == "lora":
        assert trained == {front, *(key for key in trained if ".parametrizations." in key)}
        change = task.state_dict()[layer] - source.state[layer]
        assert torch.linalg.matrix_rank(change) <= RANK
    else:
        assert trained == named & {key for key, _ in before.named_parameters()}
    mean = source.state[front].mean(dim=0, keepdim=True)
    if strategy.own == "mean":
        assert torch.allclose(start[front], mean)
    else:
        assert torch.equal(start[front], torch.eye(N_CHANNELS)[None])


def test_an_update_of_low_rank_is_merged(source: Source, small: PreparedStudy, places: dict[str, Path]) -> None:
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=_texts(places))
    task = start_task(source, data.interface, network_strategy("lora"), seed=0)
    with torch.no_grad():
        for key, weight in task.named_parameters():
            if key.endswith("up"):
                weight.normal_()
    assert sum(".parametrizations." in key for key in task.state_dict()) > 0
    merge_low_rank(task)
    assert set(task.state_dict()) == set(
        start_task(source, data.interface, network_strategy("full"), seed=0).state_dict()
    )
    layer = "encoder.backbone.reduction.weight"
    assert not torch.equal(task.state_dict()[layer], source.state[layer])


def _texts(places: dict[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in places.items()}


def test_budgets_are_nested_training_windows(shared: PreparedStudy, tmp_path: Path) -> None:
    before: set[int] = set()
    training = set(shared.split.rows(NEW, "train").tolist())
    for text in ("20 trials", "40 trials", "90 trials"):
        study = budget_study(shared, NEW, parse_budget(text), tmp_path / text, order="chronological", seed=0)
        used = {int(row) for part in ("train", "val") for row in study.split.rows(NEW, part)}
        assert before < used <= training
        assert len(used) == int(text.split()[0])
        assert study.subjects == [NEW]
        assert np.array_equal(study.split.rows(NEW, "test"), shared.split.rows(NEW, "test"))
        before = used
    assert budget_study(shared, NEW, parse_budget("90 trials"), tmp_path / text, order="chronological", seed=0)
    with pytest.raises(LeakageError, match="something other than a study of a budget"):
        budget_study(shared, NEW, parse_budget("90 trials"), shared.folder, order="chronological", seed=0)


@pytest.fixture(scope="module")
def table(
    shared: PreparedStudy, targets_folder: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    plan = AdaptationPlan(
        NEW,
        ("40 trials",),
        ("zero_shot", "full", "group", "group_prior"),
        checkpoint=checkpoint,
        others=KNOWN,
        epochs=5,
    )
    return run_adaptation(plan, shared, targets_folder, tmp_path_factory.mktemp("out"))


def value(table: pd.DataFrame, strategy: str, budget: str = "40 trials", metric: str = "mrr") -> float:
    rows = table[(table["direction"] == "image_given_brain") & (table["metric"] == metric)]
    return float(rows.set_index(["budget", "strategy"]).loc[(budget, strategy), "value"])


def test_a_shared_code_beats_scratch_on_few_trials(table: pd.DataFrame) -> None:
    scratch = value(table, "scratch")
    for strategy in ("zero_shot", "full", "group", "group_prior"):
        assert value(table, strategy) > 1.5 * scratch, strategy
    assert value(table, "scratch", "all") > scratch
    closed = {(row["strategy"], row["metric"]): row["closed"] for row in gap_closed(table)}
    assert closed["group_prior", "top1"] > 0.3
    labels = table.groupby("strategy")["protocol"].first()
    assert labels["full"].startswith("adapted (40 trials) | disjoint unit: stimulus")
    assert labels["scratch"].startswith("within-subject")
    assert table["simulated"].all()
    assert (table["low"] <= table["value"]).all()


def test_shuffled_labels_score_chance(shared: PreparedStudy, targets_folder: Path, tmp_path: Path) -> None:
    shuffled = shuffled_copy(shared, tmp_path / "shuffled", seed=1)
    plan = AdaptationPlan(NEW, ("120 trials",), ("group_prior",), others=KNOWN, ceiling=False)
    found = run_adaptation(plan, shuffled, targets_folder, tmp_path / "out")
    here = found[(found["metric"] == "mrr") & (found["direction"] == "image_given_brain")]
    assert (here["value"] < here["null_95"] + 0.1).all()
    assert value(found, "group_prior", "120 trials", "top1") <= 0.25


def test_goes_on_where_it_stopped(
    shared: PreparedStudy, targets_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = AdaptationPlan(NEW, ("30 trials", "60 trials"), ("group",), others=KNOWN, ceiling=False)
    rank, calls = adapt.rank_cell, []

    def interrupted(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rank(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(adapt, "rank_cell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_adaptation(plan, shared, targets_folder, tmp_path / "out")
    told: list[str] = []
    found = run_adaptation(plan, shared, targets_folder, tmp_path / "out", progress=told.append)
    assert [text.endswith("done before") for text in told] == [True, True, False, False]
    monkeypatch.setattr(adapt, "rank_cell", rank)
    pd.testing.assert_frame_equal(found, run_adaptation(plan, shared, targets_folder, tmp_path / "other"))
    summary = read_json(tmp_path / "out" / adapt.SUMMARY)
    assert (summary["seed"], summary["split_hash"], summary["simulated"]) == (0, shared.split.hash, True)
    assert (tmp_path / "out" / adapt.FIGURE).stat().st_size > 1000


def test_nothing_outside_the_budget_matters(targets_folder: Path, tmp_path: Path) -> None:
    found = []
    for spoiled in (False, True):
        study = SharedCode(tmp_path)
        folder = tmp_path / f"cache-{spoiled}"
        prepared = prepare_study(study, folder, subjects=[*KNOWN, NEW], session_scaling="zscore")
        plan = AdaptationPlan(NEW, ("40 trials",), ("group_prior",), others=KNOWN, ceiling=False)
        if spoiled:
            block = folder / NEW / "all.npy"
            path = block if block.is_file() else next((folder / NEW).rglob("*.npy"))
            data = np.load(path)
            budget = budget_study(
                prepared, NEW, parse_budget("40 trials"), tmp_path / "b", order="chronological", seed=0
            )
            kept = np.concatenate([budget.split.rows(NEW, part) for part in ("train", "val", "test")])  # type: ignore[arg-type]
            rest = np.setdiff1d(np.arange(len(data)), kept)
            assert len(rest) > 100
            data[rest] = 1e3
            np.save(path, data)
            prepared = PreparedStudy(folder)
        found.append(run_adaptation(plan, prepared, targets_folder, tmp_path / f"out-{spoiled}"))
    pd.testing.assert_frame_equal(*found)


def test_bad_input(
    shared: PreparedStudy, targets_folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def plan(**changes: object) -> AdaptationPlan:
        settings = {"subject": NEW, "budgets": ("40 trials",), "strategies": ("group",), "others": KNOWN, **changes}
        return AdaptationPlan(**settings)  # type: ignore[arg-type]

    def fails(kind: type[Exception], text: str, make: Callable[[], AdaptationPlan]) -> None:
        with pytest.raises(kind, match=text) as found:
            run_adaptation(make(), shared, targets_folder, tmp_path / "out")
        assert "\n" not in str(found.value)

    fails(ConfigError, "budget: got 'soon'", lambda: plan(budgets=("soon",)))
    fails(ConfigError, "strategies: got 'lorra'.*did you mean", lambda: plan(strategies=("lorra",)))
    fails(ConfigError, "full adapts a network, expected --checkpoint", lambda: plan(strategies=("full",)))
    fails(ConfigError, "subject: got 'sub-9'", lambda: plan(subject="sub-9"))
    fails(LeakageError, "sub-04 is the new subject", lambda: plan(others=(NEW,)))
    fails(LeakageError, "was trained on sub-01", lambda: plan(subject="sub-01", checkpoint=checkpoint))
    fails(ConfigError, "there are 180 trials", lambda: plan(budgets=(f"{N_TRAIN * N_REPETITIONS + 1} trials",)))
    fails(DataError, "holds 3 stimuli in 3 unit", lambda: plan(budgets=("3 stimuli",)))
    words = [str(shared.folder), str(targets_folder), NEW, "--budget", "[0 trials]", "--output", str(tmp_path / "x")]
    assert main(["adapt", *words]) == 2
    assert "budget: got '0 trials'" in capsys.readouterr().err


def test_other_layouts(source: Source, small: PreparedStudy, places: dict[str, Path], bank: TargetBank) -> None:
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=_texts(places))
    entry = {**data.interface["subjects"][NEW], "layout": "another"}
    interface = {**data.interface, "subjects": {NEW: entry}}
    with pytest.raises(MismatchError, match=r"zero_shot: the layout of sub-04 .8 channels. is that of no subject"):
        start_task(source, interface, network_strategy("zero_shot"), seed=0)
    # What trains begins with fresh parts instead.
    task = start_task(source, interface, network_strategy("front_end"), seed=0)
    assert torch.equal(task.state_dict()["encoder.front_end.mixing.matrices"], torch.eye(N_CHANNELS)[None])
    trials = fold_items(small, NEW).train
    group = GroupResponses(np.array(NAMES), np.zeros((len(NAMES), N_CHANNELS - 1, N_TIMES), dtype=np.float32))
    with pytest.raises(MismatchError, match="group: has 7 channels and 4 times, the new subject 8 and 4"):
        fit_group_model(trials, group, bank.rows(NAMES), NAMES, strategy="group", seed=0)
