"""Adapting a network: what belongs to a subject, what is trained, who keeps company, where it starts."""

# Fixtures are imported by name.
# ruff: noqa: F401, F811

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurodecode.core.budget import parse_budget
from neurodecode.core.errors import MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.linear.encoding import cosine
from neurodecode.encoders.linear.group import GroupResponses
from neurodecode.encoders.linear.group_prior import fit_group_model
from neurodecode.encoders.linear.selection import mean_reciprocal_rank
from neurodecode.training.adaptation import NETWORK_STRATEGIES, Source, network_strategy
from neurodecode.training.adaptation_data import BudgetData
from neurodecode.training.adaptation_fit import BestOfValidation, adapt_network
from neurodecode.training.adaptation_start import known_parts, own_parts, start_task
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.low_rank import RANK, merge_low_rank
from neurodecode.workflow.adapt_group import Group
from neurodecode.workflow.adapt_network import group_start, rank_embeddings
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.budget_study import budget_study
from neurodecode.workflow.items import fold_items

from .adapting import KNOWN, NEW, checkpoint, places, shared, small, source, texts
from .conftest import N_CHANNELS, N_TIMES, N_TRAIN, NAMES


def weights_of(task: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in task.state_dict().items()}


def test_what_belongs_to_a_subject(source: Source, small: PreparedStudy, places: dict[str, Path]) -> None:
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=texts(places))
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
    data = BudgetData(source, own_targets=name == "scratch", study=str(small.folder), targets=texts(places))
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
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=texts(places))
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


def test_other_layouts(source: Source, small: PreparedStudy, places: dict[str, Path], bank: TargetBank) -> None:
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=texts(places))
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


def test_reset_trains_beside_the_known(
    source: Source, shared: PreparedStudy, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = parse_budget("40 trials")
    study = budget_study(shared, NEW, budget, tmp_path / "b", order="chronological", seed=0, company=KNOWN)
    validating = set(study.split.units(study.split.rows(NEW, "val"), NEW))
    assert validating
    for person in KNOWN:
        assert not validating & set(study.split.units(study.split.rows(person, "train"), person))
        assert not len(study.split.rows(person, "val")) + len(study.split.rows(person, "test"))
    seen: list[list[str]] = []
    step = DecodeTask.training_step

    def watched(self: DecodeTask, batch: Any, number: int) -> torch.Tensor:
        seen.append(batch.subjects)
        return step(self, batch, number)

    monkeypatch.setattr(DecodeTask, "training_step", watched)
    task, report = adapt_network(
        source, study.folder, places, network_strategy("reset"), subject=NEW, company=KNOWN, seed=0, epochs=3,
        patience=9, batch_size=20,
    )  # fmt: skip
    assert report["company"] == list(KNOWN)
    own_share = [subjects.count(NEW) / len(subjects) for subjects in seen]
    assert set(own_share) == {0.5}
    beside = [next(name for name in subjects if name != NEW) for subjects in seen]
    assert beside[: 2 * len(KNOWN)] == [*KNOWN, *KNOWN]
    state, matrices = task.state_dict(), "encoder.front_end.mixing.matrices"
    assert torch.equal(state[matrices][1:], source.state[matrices])
    assert torch.equal(state["encoder.linear_path.maps.2.weight"], source.state["encoder.linear_path.maps.1.weight"])
    assert torch.equal(state["encoder.backbone.reduction.weight"], source.state["encoder.backbone.reduction.weight"])
    trained = source.state[matrices][:1].numel() + sum(
        state[f"encoder.linear_path.maps.0.{name}"].numel() for name in ("weight", "bias")
    )
    assert report["trained"] == trained
    rows = fold_items(study, NEW).test
    assert len(task.decode(NEW, rows.signals)["last"]) == len(rows)


def test_a_linear_path_starts_from_the_group(
    source: Source,
    shared: PreparedStudy,
    small: PreparedStudy,
    places: dict[str, Path],
    bank: TargetBank,
    tmp_path: Path,
) -> None:
    group = Group(shared, bank, NEW, KNOWN, tmp_path / "group", seed=0)
    items = fold_items(small, NEW)
    start = group_start(group, items)
    assert start is not None
    assert set(start.shown) <= set(NAMES[:N_TRAIN])
    data = BudgetData(source, own_targets=False, study=str(small.folder), targets=texts(places))
    task = start_task(source, data.interface, network_strategy("full"), seed=0)
    before = task.state_dict()
    before = {name: weight.clone() for name, weight in before.items()}
    assert start.put(task.encoder, data, seed=0).startswith("group, ")
    changed = {name for name, weight in task.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {"encoder.linear_path.maps.0.weight", "encoder.linear_path.maps.0.bias"}
    # Alone, it decodes pictures that neither the group nor the new subject was shown.
    signals = torch.from_numpy(data.prepare_fold().apply(NEW, items.test.signals))
    answers = task.encoder.linear_path([SubjectBatch(NEW, signals)])["last"].detach().numpy()
    gallery = data.prepare_fold().reductions["last"](bank.rows(items.test.stimulus.tolist())["last"])
    reached = mean_reciprocal_rank(cosine(answers, np.asarray(gallery)), np.arange(len(gallery)))
    assert reached > 3 * float(np.mean(1 / np.arange(1, len(gallery) + 1)))
    # Queries made up from it have the noise of the new subject.
    made = start.queries(items.train, 1, seed=0)
    assert made.shape == (len(start.shown), N_CHANNELS, N_TIMES)
    assert 0.8 < made.std() / items.train.signals.std() < 1.25


def test_few_queries_are_ranked_by_cosines(
    source: Source, small: PreparedStudy, places: dict[str, Path], bank: TargetBank
) -> None:
    task, _ = adapt_network(source, small.folder, places, network_strategy("zero_shot"), seed=0)
    items = fold_items(small, NEW)
    names = [str(name) for name in np.unique(items.test.stimulus)]
    _, rule, table = rank_embeddings(
        lambda signals: task.decode(NEW, signals),
        items,
        bank.fold(items.known),
        names,
        reference=bank.rows(NAMES[:N_TRAIN]),
        start=None,
        seed=0,
    )
    assert rule in ("cosine", "raw_cosine", "correlation")
    assert not any("density" in name for name in table)
