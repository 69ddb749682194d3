"""A second run finds everything that the first one made, and says the same."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.core.files import load_arrays, read_json
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.results import Results
from neurodecode.core.targets import TargetSpace
from neurodecode.workflow import quickstart, simulate, train
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.plan import Plan, check_plan, trimmed
from neurodecode.workflow.quickstart import run_quickstart
from neurodecode.workflow.spaces import Workspace

SIZE = 16


class Stub:
    """A generator of a few lines whose pictures follow the embedding; it counts how often it draws."""

    def __init__(self, accepts: TargetSpace) -> None:
        self.accepts, self.calls = accepts, 0

    def require_unseen(self, stimuli: Sequence[str]) -> None:
        assert all(name >= "s092" for name in stimuli)  # those of the test part

    def fingerprint(self) -> dict[str, Any]:
        return {"stub": 1}

    def generate(
        self, embeddings: NDArray[np.float32], *, seed: int, n_samples: int, keys: Sequence[str]
    ) -> NDArray[np.uint8]:
        self.calls += 1
        bars = np.repeat(np.clip(128 + 40 * embeddings, 0, 255).astype(np.uint8), SIZE // 4, axis=1)
        return np.broadcast_to(bars[:, None, :, None, None], (len(bars), n_samples, SIZE, SIZE, 3)).copy()

    def prior(self, n: int, *, seed: int, keys: Sequence[str]) -> NDArray[np.uint8]:
        self.calls += 1
        return np.random.default_rng(seed).integers(0, 256, (n, 1, SIZE, SIZE, 3), dtype=np.uint8)


class Seen:
    """Pixels as the features of pictures, and how often they were asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        self.calls += 1
        return pictures.reshape(len(pictures), -1).astype(float)


@pytest.fixture
def planted(
    small_study: PreparedStudy, bank: TargetBank, targets_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Stub, Seen]:
    """Plant data, targets, generator and picture features; everything between them is the real thing."""
    stub, seen = Stub(bank.layers["last"].space), Seen()
    study = SimpleNamespace(info=SimpleNamespace(modality="eeg"))
    monkeypatch.setattr(quickstart, "open_study", lambda name, root, options: study)
    monkeypatch.setattr(quickstart, "prepare_study", lambda *arguments, **options: small_study)
    monkeypatch.setattr(quickstart, "make_targets", lambda prepared, space: dict(bank.layers))
    monkeypatch.setattr(quickstart, "BuiltInGenerator", SimpleNamespace(load=lambda: stub))
    monkeypatch.setattr(quickstart, "picture_features", lambda: {"pixels": seen})
    monkeypatch.setattr(Workspace, "targets", lambda space, study: targets_folder)
    return stub, seen


def test_a_second_run_says_the_same_and_computes_nothing_again(
    planted: tuple[Stub, Seen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, seen = planted
    plan = Plan(study="small", output=tmp_path / "run", root=str(tmp_path), n_pictures=6, jobs=1)
    first = run_quickstart(plan, step=lambda text: None)
    assert list(first.seconds) == [
        "data", "prepare", "embed", "train", "rank", "shuffled", "records", "pictures", "report"
    ]  # fmt: skip
    written = read_json(plan.output / "results.json")
    scores, pictures = load_arrays(plan.output / "scores.npz"), load_arrays(plan.output / "pictures.npz")
    # Six conditions are drawn; features are asked for once for the true pictures and once for each of eight conditions.
    assert (stub.calls, seen.calls) == (6, 9)
    check_labels(first.results)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("neurodecode.encoders.linear.kept.fit_linear_suite", never)
    monkeypatch.setattr("neurodecode.workflow.train.run", never)
    run_quickstart(plan, step=lambda text: None)
    assert (stub.calls, seen.calls) == (6, 9)
    again = read_json(plan.output / "results.json")
    assert {**again, "versions": {}} == {**written, "versions": {}}
    for before, name in ((scores, "scores.npz"), (pictures, "pictures.npz")):
        after = load_arrays(plan.output / name)
        assert list(after) == list(before)
        for key, values in before.items():
            np.testing.assert_array_equal(after[key], values, err_msg=key)


def check_labels(results: Results) -> None:
    """Check that protocol labels say for whom a network was trained."""

    def settings(metric: str, model: str) -> set[str]:
        return {score.protocol.split(" | ")[0] for score in results.select(metric=metric, model=model)}

    for model in ("decoder", "fused", "chosen", "shuffled_brain_permuted"):
        assert settings("top1", model) == {"joint"}
    # Linear models know one subject; the control's network was trained again for the first subject alone.
    for model in ("ridge", "encoding", "shuffled_brain"):
        assert settings("top1", model) == {"within-subject"}
    assert settings("pixcorr", "reconstruction") == {"joint"}
    assert settings("pixcorr", "shuffled_brain") == {"within-subject"}


def test_what_was_trimmed_is_said(small_study: PreparedStudy) -> None:
    said = " ".join(trimmed(Plan(study="small", n_pictures=5), small_study))
    for part in (
        "trained again for 1 of 2 subjects",
        "5 test stimuli, drawn with seed 0",
        "1 of 2 subjects",
        "One seed",
    ):
        assert part in said
    assert "shuffled" not in " ".join(trimmed(Plan(study="small", shuffled_subjects=0), small_study))


@pytest.mark.parametrize("name", ["n_pictures", "n_samples", "jobs", "picture_subjects", "shuffled_subjects"])
def test_a_plan_that_cannot_work_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: got -1, expected at least"):
        check_plan(Plan(**{name: -1}))


def test_a_network_is_trained_again_when_anything_differs(
    small_study: PreparedStudy, targets_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[list[str]] = []

    def run(command: str, arguments: list[str]) -> None:
        done.append(arguments)
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / "best.ckpt").write_text("weights")

    monkeypatch.setattr(train, "run", run)
    config = tmp_path / "network.yaml"
    config.write_text("trainer: {max_epochs: 1}\n")
    given: dict[str, Any] = {"configs": [config], "fold": 0, "seed": 0, "subjects": small_study.subjects}
    places = {"last": targets_folder / "last"}

    def ask(**changed: Any) -> int:
        train.train_decoder(small_study, places, tmp_path / "model", **{**given, **changed})
        return len(done)

    assert [ask(), ask()] == [1, 1]
    assert [ask(seed=1), ask(seed=1)] == [2, 2]
    assert ask(subjects=["sub-01"]) == 3
    config.write_text("trainer: {max_epochs: 2}\n")
    assert ask(subjects=["sub-01"]) == 4
    monkeypatch.setattr(train, "computed_by", lambda *names: {"source": "other"})
    assert ask(subjects=["sub-01"]) == 5
    (tmp_path / "model" / "best.ckpt").write_text("other weights")
    assert ask(subjects=["sub-01"]) == 6
    (tmp_path / "model" / "best.ckpt").unlink()
    assert [ask(subjects=["sub-01"]), ask(subjects=["sub-01"])] == [7, 7]


def test_a_finished_simulation_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def write(folder: Path, *, seed: int, **options: Any) -> Path:
        done.append(seed)
        folder.mkdir(exist_ok=True)
        (folder / "sub-01.bin").write_text(f"signal {seed}")
        return folder

    monkeypatch.setattr(simulate, "simulate_study", write)
    monkeypatch.setattr(simulate, "source_features", lambda stimuli, keep: {})
    folder = tmp_path / "study"
    for seed in (0, 0, 1, 1):
        assert simulate.simulate_openmoji(folder, modality="eeg", seed=seed) == folder
    assert done == [0, 1]
    (folder / "sub-01.bin").write_text("cut")
    simulate.simulate_openmoji(folder, modality="eeg", seed=1)
    simulate.simulate_openmoji(folder, modality="eeg", seed=1)
    assert done == [0, 1, 1]
    monkeypatch.setattr(simulate, "computed_by", lambda *names: {"source": "other"})
    simulate.simulate_openmoji(folder, modality="eeg", seed=1)
    assert done == [0, 1, 1, 1]
