"""Odd input through `fit` and `test`: one line that names what was got and what was expected, and nothing written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurodecode.cli.main import EXIT_USER_ERROR, main
from neurodecode.core.prepared import PreparedStudy, prepare_study

CONFIG = """\
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {{class_path: SubjectLinear, init_args: {{width: 8}}}}
        backbone: {{class_path: ProjectionMLP, init_args: {{width: 16, dropout: 0.3}}}}
    objectives: [{{class_path: Regression}}]
    optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: 0.01}}}}
data:
  class_path: BrainDataModule
  init_args:
    study: {study}
    targets: {targets}
    batch_size: 16
trainer:
  max_epochs: 1
  accelerator: cpu
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {{monitor: val/mrr, mode: max, filename: best, enable_version_counter: false}}
"""


@pytest.fixture(scope="module")
def text(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> str:
    return CONFIG.format(study=tiny_study.folder, targets=json.dumps(tiny_targets))


@pytest.fixture(scope="module")
def trained(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "run.yaml").write_text(text)
    assert main(["fit", "--config", str(folder / "run.yaml"), "--trainer.default_root_dir", str(folder)]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], folder: Path, command: str, *words: str) -> str:
    """Run a command that must fail, and return its one line."""
    out = folder / "out"
    capsys.readouterr()
    assert main([command, *words, "--trainer.default_root_dir", str(out)]) == EXIT_USER_ERROR
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert len(err) < 600
    assert not [path for path in out.rglob("*") if path.is_file()]
    return err


MISSPELT = [
    ("model:", "modle:", "'modle'; did you mean 'model'"),
    ("trainer:", "trainr:", "'trainr'; did you mean 'trainer'"),
    ("  class_path: DecodeTask", "  clas_path: DecodeTask", "--model: unknown option 'clas_path'"),
    ("init_args:\n    encoder", "init_arg:\n    encoder", "did you mean 'init_args'"),
    ("encoder:", "encodr:", "--model: unknown option 'encodr'"),
    ("front_end:", "frontend:", "--model.encoder: unknown option 'frontend'"),
    ("width: 16", "widht: 16", "--model.encoder.backbone: unknown option 'widht'"),
    ("{width: 8}", "{wdith: 8}", "--model.encoder.front_end: unknown option 'wdith'"),
    ("init_args: {width: 16", "int_args: {width: 16", "unknown option 'int_args'"),
    ("objectives:", "objective:", "did you mean 'objectives'"),
    ("study:", "studi:", "--data: unknown option 'studi'"),
    ("batch_size:", "batchsize:", "did you mean 'batch_size'"),
    ("max_epochs:", "max_epoch:", "--trainer: unknown option 'max_epoch'"),
    ("callbacks:", "callback:", "did you mean 'callbacks'"),
    ("monitor:", "monitr:", "--trainer.callbacks: unknown option 'monitr'"),
    ("{lr: 0.01}", "{lrr: 0.01}", "--model.optimizer: unknown option 'lrr'"),
    ("DecodeTask", "DecodTask", "got 'DecodTask', which is no class"),
    ("SubjectLinear", "SubjectLiner", "did you mean 'SubjectLinear'"),
    ("class_path: Regression", "class_path: Regresion", "did you mean 'Regression'"),
    ("ModelCheckpoint", "ModelChekpoint", "did you mean 'ModelCheckpoint'"),
    ("torch.optim.AdamW", "torch.optim.AdamWW", "torch.optim has no AdamWW; did you mean 'AdamW'"),
    ("torch.optim.AdamW", "torch.optm.AdamW", "got 'torch.optm.AdamW', which cannot be imported"),
    ("init_args: {width: 8}", "init_args: [8]", "init_args: got [8], expected a mapping"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), MISSPELT)
def test_a_misspelt_entry_names_its_file_and_the_nearest_one(
    text: str, right: str, wrong: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert right in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(right, wrong, 1))
    found = refused(capsys, tmp_path, "fit", "--config", str(path))
    assert message in found
    assert str(path) in found


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("{width: 8}", "{width: eight}", "--model.encoder.front_end.width: got 'eight', expected a whole number"),
        ("{width: 8}", "{width: -3}", "width: got -3, expected at least 1"),
        ("{lr: 0.01}", "{lr: fast}", "--model.optimizer.lr: got 'fast', expected a number"),
        ("mode: max", "mode: maximal", "`mode` can be min, max but got maximal"),
        ("max_epochs: 1", "max_epochs: many", "--trainer.max_epochs: got 'many', expected a whole number"),
        ("max_epochs: 1", "max_epochs: 0", "--trainer.max_epochs: got 0, expected at least 1"),
        ("max_epochs: 1", "max_epochs: -5", "non-negative integer or -1. You passed in -5"),
        ("batch_size: 16", "batch_size: 0", "batch_size: got 0, expected at least 1"),
        ("batch_size: 16", "batch_size: -3", "batch_size: got -3, expected at least 1"),
        ("accelerator: cpu", "accelerator: gpuu", "--trainer.accelerator: got 'gpuu', expected auto or"),
        ("accelerator: cpu", "accelerator: tpu", "--trainer.accelerator: got 'tpu', expected auto or"),
        ("batch_size: 16", "subjects: [sub01]", "got sub01, expected some of sub-01, sub-02; did you mean 'sub-01'"),
        ("batch_size: 16", "subjects: []", "subjects: got none"),
        ("batch_size: 16", "fold: 3", "fold: got 3, expected 0 to 0"),
        ("trainer:", "ckpt_path: nothing.ckpt\ntrainer:", "nothing.ckpt: no such checkpoint"),
        ("trainer:", "ckpt_path: ''\ntrainer:", "--ckpt_path: got an empty text"),
    ],
)
def test_a_value_that_cannot_be_meant(
    text: str, right: str, wrong: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(right, wrong, 1))
    assert message in refused(capsys, tmp_path, "fit", "--config", str(path))


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.9])
def test_a_configuration_cut_anywhere_is_refused(
    text: str, part: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.yaml"
    path.write_text(text[: int(part * len(text))])
    refused(capsys, tmp_path, "fit", "--config", str(path))


@pytest.mark.parametrize("command", ["fit", "test"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.encoder.backbone.width", "12"], "backbone.width is 16 there, but 12 here"),
        (["--model.encoder.backbone", "Linear"], "backbone is ProjectionMLP there, but Linear here"),
        (["--model.objectives", "nice"], "has no objectives.objectives.0.scale"),
        (["--data.transforms", "[]"], "trained with the transforms [{'name': 'standardize'}], but the data has []"),
        (["--data.components", "2"], "target 'first' has size 3 there, but 2 in the data"),
        (["--data.subjects", "[sub-01]"], "has the subjects sub-01, sub-02, but the data has sub-01"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_with_both_sides(
    trained: Path, command: str, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = ["--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]
    assert message in refused(capsys, tmp_path, command, "--config", str(trained / "run.yaml"), *checkpoint, *words)


def test_a_refused_checkpoint_leaves_the_folder_as_it_was(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (trained / "config.yaml").read_bytes()
    words = ["--config", str(trained / "run.yaml"), "--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]
    other = ["--model.encoder.backbone.width", "12", "--trainer.default_root_dir", str(trained)]
    assert main(["fit", *words, *other]) == EXIT_USER_ERROR
    assert (trained / "config.yaml").read_bytes() == before


def test_other_channels_and_more_subjects_are_named(
    trained: Path, tiny_study_class: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(trained / "run.yaml"), "--ckpt_path", str(trained / "checkpoints" / "best.ckpt")]
    changes = {
        "fewer": ({"sub-01": 6, "sub-02": 9}, "sub-01 has 7 channels of layout"),
        "more": ({"sub-01": 7, "sub-02": 9, "sub-03": 9}, "the data has sub-01, sub-02, sub-03"),
    }
    for name, (channels, message) in changes.items():
        changed = type("Changed", (tiny_study_class,), {"channels": channels})
        folder = prepare_study(changed(tmp_path), tmp_path / name).folder
        assert message in refused(capsys, tmp_path, "test", *words, "--data.study", str(folder))


def test_files_that_are_no_checkpoint(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    shutil.copy(trained / "run.yaml", tmp_path / "text.ckpt")
    torch.save([1], tmp_path / "list.ckpt")
    for name, message in [
        ("cut.ckpt", "cut.ckpt: not readable as a whole checkpoint"),
        ("text.ckpt", "it holds something else than tensors and plain values"),
        ("list.ckpt", "holds a list, expected a checkpoint"),
        (".", "got a folder, expected a checkpoint"),
    ]:
        words = ["--config", str(trained / "run.yaml"), "--ckpt_path", str(tmp_path / name)]
        assert message in refused(capsys, tmp_path, "fit", *words)


def test_a_subject_without_training_windows_is_named(
    trained: Path, tiny_study_class: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Untrained(tiny_study_class):  # type: ignore[misc,valid-type]
        def load(self, subject, *, sfreq=None, store=None):  # type: ignore[no-untyped-def]
            found = super().load(subject, sfreq=sfreq, store=store)
            kept = found.windows[(found.windows["stimulus"] >= "s24") | (subject == "sub-01")]
            return replace(found, windows=kept.reset_index(drop=True))

    folder = prepare_study(Untrained(tmp_path), tmp_path / "untrained").folder
    words = ["--config", str(trained / "run.yaml"), "--data.study", str(folder)]
    found = refused(capsys, tmp_path, "fit", *words)
    assert "sub-02 has no training windows in fold 0" in found
    assert "--data.subjects" in found


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:, 2].fill(0), "channel 'E2' is flat"),
        (lambda data: data[3].fill(np.nan), "is not finite in window 3"),
        (lambda data: data[3, 2].put(1, np.nan), "channel 'E2' is not finite in window 3"),
        (lambda data: data[3, 2].put(1, np.inf), "channel 'E2' is not finite in window 3"),
    ],
    ids=["flat channel", "trial of NaN", "one NaN", "one infinity"],
)
def test_signals_that_are_no_signals_are_refused_when_they_are_prepared(
    spoil,
    message: str,
    tiny_study_class: type,
    tmp_path: Path,  # type: ignore[no-untyped-def]
) -> None:
    class Spoilt(tiny_study_class):  # type: ignore[misc,valid-type]
        def load(self, subject, *, sfreq=None, store=None):  # type: ignore[no-untyped-def]
            found = super().load(subject, sfreq=sfreq, store=store)
            spoil(found.blocks["all"].data)
            return found

    with pytest.raises(ValueError, match=message):
        prepare_study(Spoilt(tmp_path), tmp_path / "cache")
    assert not (tmp_path / "cache" / "study.json").exists()
