"""Extraction of targets: resumable to the byte, and never of two minds about what it holds."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.pictures import load_picture
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.targets import Targets
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.training import targets_extraction
from neurodecode.training.targets_extraction import (
    extract_study_targets,
    extract_targets,
    listed_layers,
    target_space,
)

NAMES = [f"picture{number:02d}" for number in range(11)]


def picture(name: str) -> Image.Image:
    generator = np.random.default_rng(int(name[-2:]))
    return Image.fromarray(generator.integers(0, 256, (20, 24, 3), dtype=np.uint8))


class Faulty:
    """The Gabor encoder, which fails at a chosen call."""

    kind = "image"

    def __init__(self, fails_at: int | None = None, error: BaseException | None = None) -> None:
        self.encoder = build_stimulus_encoder("gabor", layers=("wavelength8", "wavelength16"), pooling="grid2x2")
        self.name = self.encoder.name
        self.calls = 0
        self.fails_at = fails_at
        self.error = error or KeyboardInterrupt()

    def layers(self) -> list[str]:
        return self.encoder.layers()

    def encode(self, stimuli: Sequence[Any]) -> dict[str, np.ndarray]:
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.error
        return self.encoder.encode(stimuli)

    def fingerprint(self) -> dict[str, Any]:
        return self.encoder.fingerprint()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    extract_targets(NAMES, picture, Faulty(), tmp_path / "whole", shard_size=3)
    return contents(tmp_path / "whole")


def test_targets_are_what_the_encoder_gives(tmp_path: Path) -> None:
    targets = extract_targets(NAMES, picture, Faulty(), tmp_path / "targets", shard_size=4)
    assert list(targets) == ["wavelength8", "wavelength16"]
    expected = Faulty().encode([picture(name) for name in NAMES])
    for layer, values in expected.items():
        np.testing.assert_allclose(targets[layer].get(NAMES), values, atol=1e-6)
        assert targets[layer].stimuli == NAMES
        space = Targets.open(tmp_path / "targets" / layer).space
        assert space == target_space(Faulty().fingerprint(), layer, (32,))
        assert (space.model, space.layer, space.pooling, space.kind) == ("gabor", layer, "grid2x2", "vector")


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path: Path, whole: dict[str, bytes], fails_at: int) -> None:
    folder = tmp_path / "targets"
    with pytest.raises(KeyboardInterrupt):
        extract_targets(NAMES, picture, Faulty(fails_at), folder, shard_size=3)
    if fails_at > 1:
        with pytest.raises(DataError, match="not finished"):
            Targets.open(folder / "wavelength8")
    resumed = Faulty()
    extract_targets(NAMES, picture, resumed, folder, shard_size=3)
    assert resumed.calls == 4 - (fails_at - 1)
    assert contents(folder) == whole


def test_a_kill_between_two_layers_ends_in_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "targets"
    flush, calls = targets_extraction.TargetWriter.flush, []

    def dying_flush(writer: targets_extraction.TargetWriter) -> None:
        calls.append(writer)
        # Each layer is flushed twice a shard, when it is full and at its end: this is amid the second shard's layers.
        if len(calls) == 7:
            raise KeyboardInterrupt
        flush(writer)

    monkeypatch.setattr(targets_extraction.TargetWriter, "flush", dying_flush)
    with pytest.raises(KeyboardInterrupt):
        extract_targets(NAMES, picture, Faulty(), folder, shard_size=3)
    monkeypatch.undo()
    rows = [len(pd.read_csv(folder / layer / "index.csv")) for layer in ("wavelength8", "wavelength16")]
    assert rows == [6, 3]
    extract_targets(NAMES, picture, Faulty(), folder, shard_size=3)
    assert contents(folder) == whole


def test_a_finished_run_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract_targets(NAMES, picture, Faulty(), tmp_path / "targets")
    assert "embedding with gabor: 11 of 11" in capsys.readouterr().out
    again = Faulty(fails_at=1)
    targets = extract_targets(NAMES[:5], picture, again, tmp_path / "targets")
    assert again.calls == 0
    assert targets["wavelength8"].stimuli == NAMES
    assert capsys.readouterr().out == ""


def test_new_stimuli_are_added(tmp_path: Path) -> None:
    extract_targets(NAMES[:4], picture, Faulty(), tmp_path / "targets")
    added = Faulty()
    targets = extract_targets(NAMES, picture, added, tmp_path / "targets")
    assert added.calls == 1
    expected = Faulty().encode([picture(name) for name in NAMES])["wavelength8"]
    np.testing.assert_allclose(targets["wavelength8"].get(NAMES), expected, atol=1e-6)


def test_a_new_layer_is_added_beside_the_others(tmp_path: Path) -> None:
    options = {"layers": ("wavelength8",), "pooling": "grid2x2"}
    extract_targets(NAMES, picture, build_stimulus_encoder("gabor", **options), tmp_path / "targets")
    targets = extract_targets(NAMES, picture, Faulty(), tmp_path / "targets")
    assert targets["wavelength16"].get(NAMES).shape == (11, 32)


def test_another_encoder_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    extract_targets(NAMES, picture, Faulty(), tmp_path / "targets")
    with pytest.raises(
        MismatchError, match="another encoder than pixels; they differ in model, weights, preprocessing"
    ):
        extract_targets(NAMES, picture, build_stimulus_encoder("pixels"), tmp_path / "targets")
    other = build_stimulus_encoder("gabor", layers=("wavelength8",), pooling="grid1x2")
    with pytest.raises(MismatchError, match="grid2x2"):
        extract_targets(NAMES, picture, other, tmp_path / "targets")


def test_a_failing_encoder_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="broken picture"):
        extract_targets(NAMES, picture, Faulty(2, DataError("broken picture")), tmp_path / "targets", shard_size=3)
    assert not list((tmp_path / "targets").rglob("*.part*"))
    assert not (tmp_path / "targets" / "wavelength8" / "complete.json").exists()


def test_wrong_lists_are_refused(tmp_path: Path) -> None:
    for stimuli in ([], ["picture00", "picture00"]):
        with pytest.raises(DataError, match="expected each once"):
            extract_targets(stimuli, picture, Faulty(), tmp_path / "targets")


@pytest.fixture
def study(tmp_path: Path) -> Stimuli:
    folder = tmp_path / "stimuli"
    folder.mkdir()
    for name in NAMES:
        picture(name).save(folder / f"{name}.png")
    table = pd.DataFrame({"stimulus": NAMES, "kind": "image", "path": [f"{name}.png" for name in NAMES]})
    return Stimuli(table.assign(concept=NAMES, text=[f"a thing called {name}" for name in NAMES]), folder)


def test_pictures_of_a_study(study: Stimuli, tmp_path: Path) -> None:
    encoder = build_stimulus_encoder("pixels", size=4)
    targets = extract_study_targets(study, encoder, tmp_path / "targets")["pixels"]
    np.testing.assert_array_equal(targets.get(["picture03"])[0], encoder.encode([picture("picture03")])["pixels"][0])


def test_a_changed_picture_is_noticed(study: Stimuli, tmp_path: Path) -> None:
    encoder = build_stimulus_encoder("pixels", size=4)
    extract_study_targets(study, encoder, tmp_path / "targets")
    shutil.copy(study.file("picture01"), study.file("picture02"))
    with pytest.raises(DataError, match=r"'picture02' \(1 in all\) is not what these targets were made of"):
        extract_study_targets(study, encoder, tmp_path / "targets")


@pytest.mark.parametrize("damage", ["cut", "renamed", "text"])
def test_a_broken_picture_is_named(study: Stimuli, tmp_path: Path, damage: str) -> None:
    path = study.file("picture04")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("no picture at all")
    else:
        path.rename(path.with_suffix(".jpg"))
    with pytest.raises(DataError, match=r"picture04\.png") as caught:
        extract_study_targets(study, build_stimulus_encoder("pixels", size=4), tmp_path / "targets")
    assert "\n" not in str(caught.value)


def test_texts_of_a_study(study: Stimuli, tmp_path: Path) -> None:
    class Lengths:
        name, kind = "lengths", "text"

        def layers(self) -> list[str]:
            return ["length"]

        def encode(self, stimuli: Sequence[Any]) -> dict[str, np.ndarray]:
            return {"length": np.array([[len(text)] for text in stimuli], dtype=np.float32)}

        def fingerprint(self) -> dict[str, Any]:
            by_layer = {"pooling": {"length": "mean"}, "normalised": {"length": False}}
            return {"model": "lengths", "weights": "0", "layers": ["length"], "preprocessing": {}, **by_layer}

    targets = extract_study_targets(study, Lengths(), tmp_path / "targets")["length"]
    assert targets.get(["picture00"]).tolist() == [[len("a thing called picture00")]]
    silent = Stimuli(study.table.assign(text=["", *study.table["text"][1:]]), study.root)
    with pytest.raises(DataError, match="'picture00' has no text"):
        extract_study_targets(silent, Lengths(), tmp_path / "other")
    words = Stimuli(study.table.assign(kind="word"), study.root)
    with pytest.raises(DataError, match="'picture00' is a word, but pixels encodes pictures"):
        extract_study_targets(words, build_stimulus_encoder("pixels"), tmp_path / "other")


def test_tokens_are_kept_apart(tmp_path: Path) -> None:
    encoder = build_stimulus_encoder("gabor", layers=("wavelength32",), pooling="tokens")
    targets = extract_targets(NAMES[:2], picture, encoder, tmp_path / "targets")["wavelength32"]
    assert (targets.space.kind, targets.space.shape) == ("tokens", (128 * 128, 8))


def test_load_picture_closes_its_file(study: Stimuli) -> None:
    loaded = load_picture(study.file("picture00"))
    assert loaded.size == (24, 20)
    with pytest.raises(DataError, match="no such file"):
        load_picture(study.file("picture00").with_name("absent.png"))


def test_the_folder_names_the_layers_from_shallow_to_deep(tmp_path: Path) -> None:
    folder = tmp_path / "targets"

    def extract(*layers: str) -> None:
        encoder = Faulty()
        encoder.encoder = build_stimulus_encoder("gabor", layers=layers, pooling="grid2x2")
        extract_targets(NAMES, picture, encoder, folder)

    assert listed_layers(folder) == []
    extract("wavelength8")
    assert listed_layers(folder) == ["wavelength8"]
    extract("wavelength8", "wavelength16")
    assert listed_layers(folder) == ["wavelength8", "wavelength16"]
    extract("wavelength16")
    assert listed_layers(folder) == ["wavelength8", "wavelength16"]
    (folder / "encoder.json").write_text('{"layers": "wavelength8"}')
    with pytest.raises(DataError, match="layers is 'wavelength8', expected a list of names"):
        listed_layers(folder)
