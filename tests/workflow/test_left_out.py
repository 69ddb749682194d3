"""People who are left out: classifiers beside the rankings, networks trained on everybody else, and who is refused."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.split_rules import split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.core.targets import TargetSpace, TargetWriter
from neurodecode.datasets.catalogue import open_study
from neurodecode.encoders.linear.class_scores import fit_plain_discriminant, pairwise_auc
from neurodecode.encoders.linear.selection import truth_index
from neurodecode.encoders.linear.separable import fit_separable
from neurodecode.encoders.linear.trials import join
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.benchmark import Benchmark, run_benchmark
from neurodecode.workflow.items import fold_items
from neurodecode.workflow.left_out import held_out_loss, negative_distances, with_classifiers
from neurodecode.workflow.networks import train_all
from neurodecode.workflow.plan import Plan, check_plan
from neurodecode.workflow.pooled import EVERYBODY, ITEM, pooled_copy, require_no_subject_parts
from neurodecode.workflow.records import retrieval_records
from neurodecode.workflow.retrieve import rank_study
from neurodecode.workflow.spaces import Workspace

PEOPLE, TRIALS, CHANNELS, TIMES = 5, 24, 6, 16
NETWORK = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {front_end}
        backbone: {{class_path: Linear}}
    objectives: [{{class_path: Regression}}]
    optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: 0.01}}}}
data:
  class_path: BrainDataModule
  init_args: {{average_training: 1, components: 1, batch_size: 32}}
trainer:
  max_epochs: 3
  accelerator: cpu
  enable_progress_bar: false
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {{monitor: val/loss, mode: min, filename: best, enable_version_counter: false}}
"""


class OddStudy(Study):
    """Five people, two kinds of trials that all of them answer alike, each with a mean of its own."""

    info = StudyInfo(
        name="odd", modality="eeg", kind="word", description="Planted.", citation="none", licence="none", where="",
        size="", simulated=True, averaging="trial",
    )  # fmt: skip

    def subjects(self) -> list[str]:
        return [f"sub-{number + 1:02d}" for number in range(PEOPLE)]

    def stimuli(self) -> Stimuli:
        names = ["odd", "usual"]
        return Stimuli(pd.DataFrame({"stimulus": names, "kind": "word", "path": "", "concept": names, "text": names}))

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        number = self.subjects().index(subject)
        generator = np.random.default_rng([3, number])
        shared = np.random.default_rng(4)
        pattern, mixing = shared.standard_normal((CHANNELS, TIMES)), shared.standard_normal((CHANNELS, CHANNELS))
        labels = generator.permutation(np.repeat(["odd", "usual"], TRIALS // 2))
        data = 3 * generator.standard_normal((CHANNELS, TIMES)) + 0.4 * (labels == "odd")[:, None, None] * pattern
        data = data + mixing @ generator.standard_normal((TRIALS, CHANNELS, TIMES))
        names = [f"E{channel}" for channel in range(CHANNELS)]
        sensors = Sensors(tuple(names), ("eeg",) * CHANNELS, sfreq=16.0, tmin=0.0, unit="V")
        windows = pd.DataFrame(
            {
                "subject": subject, "session": "", "run": "1", "block": "all", "start": np.arange(TRIALS),
                "length": TIMES, "stimulus": labels, "repetition": 1, "onset": 0.0,
                "trial": [f"{row}" for row in range(TRIALS)],
            }
        )  # fmt: skip
        block = Block("all", (1e-6 * data).astype(np.float32), sensors)
        return Recording(subject, "eeg", {"all": block}, windows, True)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        return split_by_rule("subject", windows, seed=0)

    def steps(self) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(OddStudy(tmp_path_factory.mktemp("odd")), tmp_path_factory.mktemp("cache") / "odd")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    writer = TargetWriter(folder / "word", TargetSpace("planted", "00", "word", "none", "none", False, "vector", (3,)))
    for name, row in (("odd", [1.0, 0.0, 0.5]), ("usual", [0.0, 1.0, 0.5])):
        writer.add(name, np.array(row, dtype=np.float32))
    writer.close()
    return folder


def write_network(folder: Path, front_end: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(NETWORK.format(front_end=front_end), encoding="utf-8")
    return path


def test_classifiers_stand_beside_the_rankings_and_may_be_chosen(odd: PreparedStudy, targets: Path) -> None:
    ranked = rank_study(odd, TargetBank.open(targets), decode=None, seed=0)
    found = with_classifiers(ranked, odd, seed=0)
    assert {"lda", "separable", "shuffled_separable", "chosen", "ridge"} <= set(found.tables.models)
    for key, chosen in found.chosen.items():
        losses = found.reports[key]["cross_entropy"]
        assert losses[chosen] == min(losses[chosen], losses["separable"])
        subject = key.split("/")[0]
        np.testing.assert_array_equal(found.tables.scores["chosen", subject], found.tables.scores[chosen, subject])
    scores, _, _ = retrieval_records(odd, found.tables, joint=False, seed=0, absent={})
    areas = {s.model: s for s in scores if s.metric == "auc" and s.subject == "mean"}
    assert areas["separable"].value > 0.85
    assert areas["separable"].low > areas["separable"].null_95
    assert abs(areas["shuffled_separable"].value - 0.5) < 0.25
    assert areas["separable"].protocol.startswith("leave-one-subject-out | disjoint unit: subject")
    difference = [s for s in scores if s.metric == "difference_auc" and s.model == "separable minus lda"]
    assert [s.subject for s in difference] == [*odd.subjects, "mean"]
    names = found.tables.queries.groupby("subject")["query"].nunique()
    assert (names == TRIALS).all()


def test_labels_of_the_person_left_out_change_nothing_but_the_score(
    odd: PreparedStudy, targets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = rank_study(odd, TargetBank.open(targets), decode=None, seed=0, subjects=["sub-02"])
    before = with_classifiers(ranked, odd, seed=0).tables.scores
    items = ranked.models["sub-02", 1].items
    turned = replace(items.test, stimulus=items.test.stimulus[::-1])
    half = replace(items, test=turned)
    models = {("sub-02", 1): replace(ranked.models["sub-02", 1], items=half)}
    after = with_classifiers(replace(ranked, models=models), odd, seed=0).tables.scores
    for model in ("lda", "separable"):
        np.testing.assert_array_equal(before[model, "sub-02"], after[model, "sub-02"])
    # Nor do its other trials: each is scored by itself.
    one = replace(items, test=items.test.select(np.array([3])))
    train = join([items.train, items.validation])
    fitted = fit_separable(train, [16])
    np.testing.assert_allclose(
        fitted.classifier.score(items.test.signals)[3], fitted.classifier.score(one.test.signals)[0]
    )
    assert 0 < held_out_loss(fitted, train) < np.log(2)


def test_people_are_pooled_with_their_parts_units_and_items(odd: PreparedStudy, tmp_path: Path) -> None:
    pooled = pooled_copy(odd, tmp_path / "pooled")
    assert pooled.subjects == [EVERYBODY]
    recording = pooled.recording(EVERYBODY)
    assert len(recording.windows) == PEOPLE * TRIALS
    assert recording.windows[ITEM].is_unique
    for fold, subject in enumerate(odd.subjects):
        rows = pooled.split.rows(EVERYBODY, "test", fold=fold)
        np.testing.assert_array_equal(recording.read(rows), odd.recording(subject).read(np.arange(TRIALS)))
        for part in ("train", "val"):
            units = set(pooled.split.units(pooled.split.rows(EVERYBODY, part, fold=fold), EVERYBODY))
            people = {p for p in odd.subjects if len(odd.split.rows(p, part, fold=fold))}
            assert units == people
            assert subject not in people
    made = (tmp_path / "pooled" / "study.json").stat().st_mtime_ns
    pooled_copy(odd, tmp_path / "pooled")
    assert (tmp_path / "pooled" / "study.json").stat().st_mtime_ns == made
    with pytest.raises(LeakageError, match="something other than a pooled study"):
        pooled_copy(odd, odd.folder)


def test_people_with_other_channels_are_not_pooled(
    odd: PreparedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = odd.recording("sub-03")
    block = found.blocks["all"]
    other = replace(found, blocks={"all": replace(block, sensors=replace(block.sensors, names=tuple("uvwxyz")))})
    read = PreparedStudy.recording
    monkeypatch.setattr(
        PreparedStudy, "recording", lambda study, name, **how: other if name == "sub-03" else read(study, name, **how)
    )
    with pytest.raises(MismatchError, match="sub-03: has 6 channels"):
        pooled_copy(odd, tmp_path / "pooled")
    assert not (tmp_path / "pooled").exists()


@pytest.mark.parametrize(
    "front_end", ["{class_path: SubjectLayer}", "{class_path: SubjectLinear, init_args: {width: 4}}"]
)
def test_networks_with_parts_of_a_person_are_refused(
    front_end: str, odd: PreparedStudy, targets: Path, tmp_path: Path
) -> None:
    recipe = write_network(tmp_path, front_end)
    plan = Benchmark("tiny", (recipe,), "within", (0,), tuple(odd.subjects))
    with pytest.raises(ConfigError, match=r"tiny: has parts for each person .*front_end.* the split leaves people out"):
        run_benchmark(plan, odd, {"word": targets / "word"}, tmp_path / "out")
    require_no_subject_parts([write_network(tmp_path, "{class_path: Identity}")], odd, {"word": (3,)})


def test_benchmark_decodes_people_the_network_never_met(odd: PreparedStudy, targets: Path, tmp_path: Path) -> None:
    recipe = write_network(tmp_path, "{class_path: Identity}")
    plan = Benchmark("tiny", (recipe,), "within", (0,), ("sub-01", "sub-04"), linear=False)
    table = run_benchmark(plan, odd, {"word": targets / "word"}, tmp_path / "out")
    row = table[(table["metric"] == "auc") & (table["subject"] == "mean") & (table["model"] == "decoder")].iloc[0]
    assert row["protocol"].startswith("leave-one-subject-out")
    assert row["n_subjects"] == 2
    assert row["value"] > 0.6
    folders = sorted(path.name for path in (tmp_path / "out" / "models").glob("*/fold-*"))
    assert folders == ["fold-0", "fold-3"]


@pytest.mark.slow
def test_quickstart_network_decodes_somebody_it_never_met(odd: PreparedStudy, targets: Path, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run")
    bank = TargetBank.open(targets)
    (space.root / "targets").mkdir(parents=True)
    space.targets("odd").symlink_to(targets)
    decode = train_all(odd, space, dict(bank.layers), 0, ["sub-05"], shuffled=False)
    items = fold_items(odd, "sub-05", fold=4)
    assert decode(4, "sub-05", items.test.signals)["word"].shape == (TRIALS, 3)
    blind = train_all(odd, space, dict(bank.layers), 0, ["sub-05"], shuffled=True)
    assert not np.allclose(
        blind(4, "sub-05", items.test.signals)["word"], decode(4, "sub-05", items.test.signals)["word"]
    )


@pytest.fixture(scope="module", params=["second", "match"])
def real_areas(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, np.ndarray, np.ndarray]:
    """Give the contrast and the areas of each real person left out: of the separable classifier and the plain one."""
    if "NEURODECODE_DATA" not in os.environ:
        pytest.skip("NEURODECODE_DATA is not set: the real recordings are not at hand")
    study = open_study("smni_visual", options={"contrast": request.param})
    prepared = prepare_study(study, tmp_path_factory.mktemp("real") / "cache", sfreq=64.0)
    ours, plain = [], []
    for fold, subject in enumerate(prepared.subjects):
        items = fold_items(prepared, subject, fold=fold)
        train = join([items.train, items.validation])
        truth = truth_index(items.test.stimulus, np.unique(train.stimulus))
        ours.append(pairwise_auc(fit_separable(train, [16, 32]).classifier.score(items.test.signals), truth))
        plain.append(pairwise_auc(fit_plain_discriminant(train, 8).score(items.test.signals), truth))
    return request.param, np.array(ours), np.array(plain)


@pytest.mark.data
@pytest.mark.slow
def test_real_people_left_out_are_decoded_above_the_plain_discriminant(
    real_areas: tuple[str, np.ndarray, np.ndarray],
) -> None:
    contrast, ours, plain = real_areas
    assert ours.mean() > {"second": 0.855, "match": 0.747}[contrast]
    assert plain.mean() == pytest.approx({"second": 0.854, "match": 0.735}[contrast], abs=0.01)


@pytest.mark.data
@pytest.mark.slow
def test_the_paired_interval_over_real_people_is_above_nothing(
    real_areas: tuple[str, np.ndarray, np.ndarray],
) -> None:
    contrast, ours, plain = real_areas
    people = np.random.default_rng(0).integers(0, len(ours), size=(2000, len(ours)))
    assert np.quantile((ours - plain)[people].mean(axis=1), 0.025) > 0, contrast


def test_plan_knows_the_rate_and_refuses_options_of_what_it_simulates() -> None:
    assert Plan(study="smni_visual").rate == 64.0
    assert Plan(study="muse_n170").rate is None
    assert (Plan().rate, Plan(modality="fmri").rate) == (50.0, None)
    check_plan(Plan(study="smni_visual", options={"contrast": "match"}))
    with pytest.raises(ConfigError, match="options: got contrast for the built-in study"):
        check_plan(Plan(options={"contrast": "match"}))


def test_distances_rank_as_the_squared_distance_does() -> None:
    generator = np.random.default_rng(0)
    candidates, predicted = generator.standard_normal((3, 4)) + 9, generator.standard_normal((5, 4)) + 9
    found = negative_distances({"a": predicted.astype(np.float32)}, {"a": candidates.astype(np.float32)})
    expected = -((predicted[:, None] - candidates) ** 2).sum(axis=2)
    centred = [matrix - matrix.mean(axis=1, keepdims=True) for matrix in (found, expected)]
    spread = np.mean(((candidates - candidates.mean(axis=0)) ** 2).sum(axis=1))
    np.testing.assert_allclose(centred[0] * 2 * spread, centred[1], rtol=1e-3, atol=1e-4)
