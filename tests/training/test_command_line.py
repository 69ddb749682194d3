"""fit, validate, test and predict: what they write, resume, reproduce and refuse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError, NeurodecodeError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.training.answers import Answers, retrieval_metrics
from neurodecode.training.command_line import CommandLine, run
from neurodecode.training.decode_task import DecodeTask

CONFIG = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {{class_path: SubjectLinear, init_args: {{width: 8}}}}
        backbone: {{class_path: ProjectionMLP, init_args: {{width: 16, dropout: 0.3}}}}
    image_side: {{class_path: LinearImageSide, init_args: {{width: 6}}}}
    objectives:
      - {{class_path: MixCo, init_args: {{heads: [retrieval]}}}}
      - {{class_path: Regression}}
    optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: 0.01}}}}
    schedule: cosine
data:
  class_path: BrainDataModule
  init_args:
    study: {study}
    targets: {targets}
    average_training: random
    batch_size: 16
trainer:
  max_epochs: 4
  accelerator: cpu
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {{monitor: val/mrr, mode: max, filename: best, enable_version_counter: false}}
    - {{class_path: ModelCheckpoint, init_args: {{filename: last, enable_version_counter: false}}}}
"""


@pytest.fixture(scope="module")
def config(tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(CONFIG.format(study=tiny_study.folder, targets=json.dumps(tiny_targets)))
    return str(path)


def fit(config: str, folder: Path, *extra: str) -> CommandLine:
    done = run("fit", ["--config", config, "--trainer.default_root_dir", str(folder), *extra])
    assert done is not None
    return done


@pytest.fixture(scope="module")
def trained(config: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    fit(config, folder)
    return folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return loaded


def test_fit_writes_config_metrics_and_checkpoints(trained: Path) -> None:
    assert (trained / "config.yaml").is_file()
    metrics = pd.read_csv(trained / "metrics.csv")
    assert {"train/loss", "train/mixco", "train/regression", "val/loss", "val/mrr", "val/top5"} <= set(metrics)
    assert metrics["val/mrr"].dropna().between(0, 1).all()
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_training_learns_the_planted_code(trained: Path) -> None:
    metrics = pd.read_csv(trained / "metrics.csv")
    losses = metrics["train/regression"].dropna().to_numpy()
    assert losses[-1] < 0.85 * losses[0]
    chance = np.mean(1 / np.arange(1, 9))
    assert metrics["val/mrr"].dropna().max() > 1.3 * chance


def test_saved_config_reproduces_the_run(trained: Path, tmp_path: Path) -> None:
    fit(str(trained / "config.yaml"), tmp_path)
    first, again = weights(trained / "checkpoints" / "last.ckpt"), weights(tmp_path / "checkpoints" / "last.ckpt")
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = fit(str(trained / "config.yaml"), tmp_path / "other", "--seed_everything", "1")
    assert not torch.equal(other.model.state_dict()["encoder.heads.maps.0.weight"],
                           first["encoder.heads.maps.0.weight"])  # fmt: skip


def test_resumed_training_equals_an_uninterrupted_one(config: str, trained: Path, tmp_path: Path) -> None:
    class StopAfterTwo(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
            trainer.should_stop = trainer.current_epoch == 1

    original = CommandLine.instantiate_trainer

    def stopping(self: CommandLine, **settings: Any) -> Trainer:
        trainer = original(self, **settings)
        trainer.callbacks.append(StopAfterTwo())
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CommandLine, "instantiate_trainer", stopping)
        fit(config, tmp_path)
    halfway = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(halfway, weights_only=True)["epoch"] == 1
    fit(config, tmp_path, "--ckpt_path", str(halfway))
    whole = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    resumed = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["epoch"] == whole["epoch"] == 3
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name


def test_predictions_equal_decode_from_python(config: str, trained: Path, tiny_study: PreparedStudy) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    run("predict", ["--config", config, "--ckpt_path", str(checkpoint), "--trainer.default_root_dir", str(trained)])
    folder = trained / "predictions"
    table = pd.read_csv(folder / "predictions.csv")
    assert len(table) == 2 * 8
    assert (table["repetitions"] == 3).all()
    header = json.loads((folder / "predictions.json").read_text())
    assert header["simulated"] is True
    assert header["spaces"]["second.1"]["layer"] == "second.1"
    task = DecodeTask.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    recording = tiny_study.recording("sub-02")
    for name in ("first", "second.1", "retrieval"):
        values = np.load(folder / header["files"][name])
        for row in np.flatnonzero(table["subject"] == "sub-02")[:3]:
            shown = np.flatnonzero(recording.windows["stimulus"] == table["stimulus"][row])
            signal = recording.read(shown).mean(axis=0, keepdims=True)
            np.testing.assert_allclose(task.decode("sub-02", signal)[name][0], values[row], rtol=1e-3, atol=1e-4)


def test_validate_and_test_score_a_checkpoint(config: str, trained: Path) -> None:
    checkpoint = ["--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]
    root = ["--trainer.default_root_dir", str(trained / "scores")]
    validated = run("validate", ["--config", config, *checkpoint, *root])
    assert validated is not None
    best = float(pd.read_csv(trained / "metrics.csv")["val/mrr"].max())
    assert float(validated.trainer.callback_metrics["val/mrr"]) == pytest.approx(best, abs=1e-5)
    tested = run("test", ["--config", config, *checkpoint, *root])
    assert tested is not None
    assert set(tested.trainer.callback_metrics) == {"test/loss", "test/mrr", "test/top5"}


def test_checkpoint_of_another_encoder_is_refused(config: str, trained: Path) -> None:
    checkpoint = ["--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]
    root = ["--trainer.default_root_dir", str(trained / "other")]
    for change in (["--model.encoder.backbone.width", "12"], ["--model.encoder.backbone.dropout", "0.4"]):
        with pytest.raises(MismatchError, match=r"encoder .*BrainEncoder.* has other parts"):
            run("test", ["--config", config, *checkpoint, *root, *change])


def test_reload_builds_the_encoder_it_was_trained_with(trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    task = DecodeTask.load_from_checkpoint(trained / "checkpoints" / "best.ckpt", weights_only=True)
    assert task.encoder.backbone.out_features == 16
    for name, value in task.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][name])
    # The same weights under the hyper-parameters of another encoder, as after a careless edit.
    checkpoint["hyper_parameters"]["encoder"]["init_args"]["backbone"]["init_args"]["dropout"] = 0.0
    torch.save(checkpoint, tmp_path / "edited.ckpt")
    with pytest.raises(NeurodecodeError, match="other parts"):
        DecodeTask.load_from_checkpoint(tmp_path / "edited.ckpt", weights_only=True)
    del checkpoint["hyper_parameters"]["encoder"]
    torch.save(checkpoint, tmp_path / "without.ckpt")
    with pytest.raises(Exception, match="encoder"):
        DecodeTask.load_from_checkpoint(tmp_path / "without.ckpt", weights_only=True)


def test_other_data_is_refused(config: str, trained: Path, tiny_targets: dict[str, str]) -> None:
    checkpoint = ["--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]
    root = ["--trainer.default_root_dir", str(trained / "other")]
    swapped = json.dumps({"first": tiny_targets["first"], "second.1": tiny_targets["first"]})
    with pytest.raises(MismatchError):
        run("test", ["--config", config, *checkpoint, *root, "--data.targets", swapped])
    with pytest.raises(MismatchError):
        run("test", ["--config", config, *checkpoint, *root, "--data.subjects", "[sub-01]"])


def test_another_split_is_a_leak(config: str, trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["neurodecode"]["record"]["interface"]["split"] = "another"
    torch.save(checkpoint, tmp_path / "leak.ckpt")
    with pytest.raises(LeakageError, match="split another"):
        run("test", ["--config", config, "--ckpt_path", str(tmp_path / "leak.ckpt"),
                     "--trainer.default_root_dir", str(tmp_path)])  # fmt: skip


def test_broken_and_missing_checkpoints_are_one_line(config: str, trained: Path, tmp_path: Path) -> None:
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(whole[: len(whole) // 2])
    root = ["--trainer.default_root_dir", str(tmp_path)]
    with pytest.raises(DataError, match=r"cut\.ckpt: not readable as a whole checkpoint"):
        run("test", ["--config", config, "--ckpt_path", str(cut), *root])
    with pytest.raises(DataError, match="no such checkpoint"):
        run("test", ["--config", config, "--ckpt_path", str(tmp_path / "nothing.ckpt"), *root])
    with pytest.raises(ConfigError, match="ckpt_path"):
        run("test", ["--config", config, *root])


@pytest.mark.parametrize("monitor", ["test/mrr", "test_loss"])
def test_monitoring_a_test_metric_is_refused(config: str, tmp_path: Path, monitor: str) -> None:
    callbacks = [{"class_path": "ModelCheckpoint", "init_args": {"monitor": monitor}}]
    with pytest.raises(ConfigError, match=f"monitor of ModelCheckpoint: got '{monitor}'"):
        fit(config, tmp_path, "--trainer.callbacks", json.dumps(callbacks))
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_training_leaves_no_half_checkpoint(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Stop in the middle of writing the second checkpoint; the first is still whole."""
    written: list[str] = []
    original = torch.save

    def breaking(obj: Any, file: Any, *arguments: Any, **settings: Any) -> None:
        written.append("checkpoint")
        if len(written) == 3:
            file.write(b"half")
            raise error("stopped")
        original(obj, file, *arguments, **settings)

    monkeypatch.setattr(torch, "save", breaking)
    with pytest.raises(error):
        fit(config, tmp_path)
    found = list(tmp_path.rglob("*.ckpt"))
    assert found
    for path in found:
        assert torch.load(path, weights_only=True)["neurodecode"]["task"].endswith("DecodeTask")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modle.x", "3"], r"unknown option --modle\.x; did you mean '--model'\?"),
        (["--model.encoder.backbon", "Linear"], "--model.encoder: unknown option 'backbon'; did you mean 'backbone'?"),
        (["--model.encoder.backbone", "Liner"], "got 'Liner'.*did you mean 'Linear'"),
        (["--model.encoder.backbone.wdth", "3"], "unknown option 'wdth'; did you mean 'width'?"),
        (["--data.batch_size", "many"], "--data.batch_size: got 'many', expected a whole number"),
        (["--data.fold", "7"], "fold: got 7, expected 0 to 0"),
        (["--config", "nothing.yaml"], r"--config: no such file .*nothing\.yaml"),
        (["--model.objectives", "nise"], "got preset 'nise'.*; did you mean 'nice'"),
        (["--trainer.max_epoks", "3"], "did you mean '--trainer.max_epochs'"),
        (["--data.transforms", '[{"name": "standardise"}]'], "did you mean 'standardize'"),
        (["--data.transforms", '[{"name": "standardize", "robst": true}]'], "'robst'; did you mean 'robust'"),
        (["--data.batch_size", "1"], "objective 'mixco': got a batch of one row, expected two; raise batch_size"),
        (["--data.target_form", "raw", "--data.components", "3"], "target_form: got raw with components 3"),
        (["--model.encoder.front_end", "FourierAttention"], "FourierAttention: sub-01 has no positions"),
    ],
)
def test_errors_are_one_line(config: str, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        run("fit", ["--config", config, *words])
    assert "\n" not in str(caught.value)


def test_an_unknown_entry_of_a_file_is_named_even_if_it_is_empty(config: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("modle: {}\n")
    with pytest.raises(ConfigError, match=r"wrong\.yaml has an unknown entry 'modle'; did you mean 'model'\?"):
        run("fit", ["--config", config, "--config", str(tmp_path / "wrong.yaml")])


def test_help_and_print_config_only_print(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", ["--help"]) is None
    assert "--data" in capsys.readouterr().out
    assert run("fit", ["--config", config, "--print_config"]) is None
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["max_epochs"] == 4


def test_nothing_is_advertised(config: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fit(config, tmp_path, "--trainer.max_epochs", "1")
    out, err = capfd.readouterr()
    assert "Tip" not in out + err
    assert "litlogger" not in out + err
    assert out.startswith("Checkpoint: ")


def test_retrieval_metrics_oracle_chance_and_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(400, 20, generator=generator)
    names, subjects = [str(number) for number in range(400)], ["a", "b"] * 200

    def metrics(brain: torch.Tensor, gallery: torch.Tensor) -> dict[str, float]:
        answers = Answers(names, gallery)
        for rows in (slice(0, 300), slice(300, 400)):
            answers.add(brain[rows], subjects=subjects[rows], candidates=names[rows], loss=torch.tensor(1.0))
        assert answers.loss == 1.0
        return answers.metrics()

    assert metrics(3 * image, image) == {"mrr": 1.0, "top5": 1.0}
    random = metrics(torch.randn(400, 20, generator=generator), image)
    assert random["top5"] == pytest.approx(5 / 400, abs=0.02)
    constant = metrics(torch.ones_like(image), torch.ones_like(image))
    assert constant["top5"] == pytest.approx(5 / 400, abs=1e-6)
    assert retrieval_metrics(np.ones((1, 1), np.float32), ["a"], ["0"], ["0"]) == {}
