"""A benchmark goes on where it stopped, and its table is the mean of its cells."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.cli.main import main
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import read_json
from neurodecode.core.prepared import PreparedStudy
from neurodecode.workflow import benchmark, train
from neurodecode.workflow.benchmark import Benchmark, run_benchmark, summarise

RECIPE = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {class_path: SubjectProjection, init_args: {width: 8}}
        backbone: {class_path: Linear}
    objectives: [{class_path: Regression}]
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}
data:
  class_path: BrainDataModule
  init_args:
    transforms: [{name: standardize}]
    batch_size: 32
trainer:
  max_epochs: 2
  accelerator: cpu
  enable_progress_bar: false
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {monitor: val/mrr, mode: max, filename: best, enable_version_counter: false}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_interrupted_and_gone_on_gives_the_same_table(
    small_study: PreparedStudy, targets_folder: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = {path.name: path for path in sorted(targets_folder.iterdir()) if path.is_dir()}
    plan = Benchmark("tiny", (recipe,), "within", (0, 1), ("sub-01", "sub-02"))
    fit, calls = train.run, []

    def interrupted(subcommand: str, arguments: list[str]) -> None:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        fit(subcommand, arguments)

    monkeypatch.setattr(train, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(plan, small_study, targets, tmp_path / "out")
    assert not (tmp_path / "out" / benchmark.TABLE).exists()
    told: list[str] = []
    table = run_benchmark(plan, small_study, targets, tmp_path / "out", progress=told.append)
    assert told[0] == "seed 0: done before"
    assert sum(text.endswith("done before") for text in told) == 1
    assert len(calls) == 5  # three before, the interrupted one again, and no other
    again = run_benchmark(plan, small_study, targets, tmp_path / "out")
    pd.testing.assert_frame_equal(table, again)
    assert len(calls) == 5
    whole = run_benchmark(plan, small_study, targets, tmp_path / "other")
    pd.testing.assert_frame_equal(table, whole)
    assert set(table["model"]) >= {"decoder", "ridge", "encoding", "fused"}
    assert table["simulated"].all()
    rows = table[
        (table["model"] == "ridge") & (table["metric"] == "top1") & (table["direction"] == "image_given_brain")
    ]
    assert rows["subject"].tolist() == ["sub-01", "sub-02", "mean"]
    assert rows["value"].iloc[2] == pytest.approx(rows["value"].iloc[:2].mean())
    assert rows["value"].iloc[2] > 5 * rows["chance"].iloc[2]
    assert read_json(tmp_path / "out" / benchmark.SUMMARY)["simulated"] is True


def test_table_against_numpy() -> None:
    generator = np.random.default_rng(0)
    values = generator.uniform(0.2, 0.8, size=(3, 4))
    cells = []
    for seed in range(3):
        score = {
            "metric": "top1", "direction": "image_given_brain", "model": "fused", "protocol": "p",
            "low": 0.1 * seed, "high": 0.9, "chance": 0.1, "null_95": 0.2, "n_candidates": 10, "simulated": False,
        }  # fmt: skip
        own = [{**score, "subject": f"sub-{number:02d}", "value": value} for number, value in enumerate(values[seed])]
        cells.append({"seed": seed, "scores": [*own, {**score, "subject": "mean", "value": values[seed].mean()}]})
    table = summarise("r", cells).set_index("subject")
    assert np.allclose(table["value"].iloc[:4], values.mean(0))
    assert np.allclose(table["spread"].iloc[:4].astype(float), values.std(0, ddof=1))
    assert table.loc["mean", "value"] == pytest.approx(values.mean())
    assert table.loc["mean", "spread"] == pytest.approx(values.mean(1).std(ddof=1))
    assert table.loc["mean", "between_subjects"] == pytest.approx(values.mean(0).std(ddof=1))
    assert table.loc["mean", ["low", "high"]].tolist() == pytest.approx([0.1, 0.9])
    assert table.loc["mean", "n_subjects"] == 4


def test_bad_plans(capsys: pytest.CaptureFixture[str], small_study: PreparedStudy, targets_folder: Path) -> None:
    with pytest.raises(ConfigError, match="seeds: got 1, 1, expected some, each once"):
        Benchmark("tiny", (), "joint", (1, 1), ("sub-01",))
    with pytest.raises(DataError, match="no seed was finished"):
        summarise("tiny", [])
    assert main(["benchmark", "ridgestart", str(small_study.folder), str(targets_folder)]) == 2
    assert "--recipe: got 'ridgestart', expected one of" in capsys.readouterr().err
    assert main(["benchmark", "missing.yaml", str(small_study.folder), str(targets_folder)]) == 2
    assert "--recipe: no such file missing.yaml" in capsys.readouterr().err
    assert main(["benchmark", "ubp", str(small_study.folder), str(targets_folder), "--layers", "[lost]"]) == 2
    assert "--layers: got lost, expected some of" in capsys.readouterr().err
    assert main(["benchmark", "ubp", str(small_study.folder), str(targets_folder), "--size", "smal"]) == 2
    assert "--size: got 'smal', expected one of small" in capsys.readouterr().err


def test_size_is_the_recipes_own_overlay(
    small_study: PreparedStudy, targets_folder: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Benchmark] = []

    def planned(plan: Benchmark, *_: object, **__: object) -> pd.DataFrame:
        plans.append(plan)
        raise ConfigError("only the plan is wanted")

    monkeypatch.setattr(benchmark, "run_benchmark", planned)
    for name in ("ubp", "ridge_start"):
        assert main(["benchmark", name, str(small_study.folder), str(targets_folder), "--size", "small"]) == 2
    assert [plan.name for plan in plans] == ["ubp-small", "ridge_start-small"]
    assert [plan.configs[1].parent.name for plan in plans] == ["small", "size"]


def test_a_network_alone(small_study: PreparedStudy, targets_folder: Path, recipe: Path, tmp_path: Path) -> None:
    targets = {path.name: path for path in sorted(targets_folder.iterdir()) if path.is_dir()}
    plan = Benchmark("tiny", (recipe,), "joint", (0,), ("sub-01", "sub-02"), linear=False)
    table = run_benchmark(plan, small_study, targets, tmp_path / "out")
    assert set(table["model"]) == {"decoder"}
    row = table[
        (table["metric"] == "top1") & (table["direction"] == "image_given_brain") & (table["subject"] == "mean")
    ].iloc[0]
    assert row["value"] > 2 * row["chance"]
    assert not (tmp_path / "out" / "linear").exists()
