"""A kept suite scores bit for bit as a fitted one, and is fitted again as soon as anything differs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodecode.encoders.linear import kept
from neurodecode.encoders.linear.fitting import fit_linear_suite
from neurodecode.encoders.linear.kept import kept_linear_suite
from neurodecode.encoders.linear.suite import LinearSuite
from neurodecode.encoders.linear.trials import TrialSet

N_TRAIN, N_VALIDATION = 60, 34
NAMES = [f"s{number:03d}" for number in range(N_TRAIN + N_VALIDATION)]
BANK = {
    layer: np.random.default_rng(number).normal(size=(len(NAMES), 4)).astype(np.float32)
    for number, layer in enumerate(("early", "late"))
}


def trials(first: int, count: int, seed: int) -> TrialSet:
    shown = np.repeat(np.arange(first, first + count), 3)
    weights = np.random.default_rng(9).normal(size=(8, 5 * 3))
    noise = np.random.default_rng(seed).normal(size=(len(shown), 15))
    signals = np.concatenate(list(BANK.values()), axis=1)[shown] @ weights + 3 * noise
    labels = np.array(NAMES)[shown]
    return TrialSet(signals.reshape(-1, 5, 3), labels, labels, np.ones(len(shown), dtype=np.int64))


def arguments() -> dict[str, Any]:
    decoder = {name: rows[N_TRAIN:] + np.float32(0.5) for name, rows in BANK.items()}
    return {
        "train": trials(0, N_TRAIN, 1),
        "validation": trials(N_TRAIN, N_VALIDATION, 2),
        "bank": BANK,
        "names": NAMES,
        "decoder": decoder,
        "seed": 0,
    }


@pytest.fixture(scope="module")
def plain() -> LinearSuite:
    return fit_linear_suite(**arguments())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "sub-01"
    kept_linear_suite(place, **arguments())
    return place


def copied(folder: Path, goal: Path) -> Path:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        (goal / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        (goal / path.relative_to(folder)).write_bytes(path.read_bytes())
    return goal


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch, plain: LinearSuite) -> list[int]:
    """Count how often a fit is asked for, without doing it."""
    done: list[int] = []

    def counted(*args: Any, **options: Any) -> Any:
        done.append(1)
        return plain

    monkeypatch.setattr(kept, "fit_linear_suite", counted)
    return done


def test_kept_and_fitted_score_bit_for_bit_alike(folder: Path, plain: LinearSuite, fits: list[int]) -> None:
    again = kept_linear_suite(folder, **arguments())
    assert fits == []
    queries = trials(N_TRAIN, N_VALIDATION, 4).averaged()
    gallery = {name: rows[N_TRAIN:] for name, rows in BANK.items()}
    predicted = {name: rows + np.float32(0.1) for name, rows in gallery.items()}
    expected, found = (suite.score_all(queries, gallery, decoder=predicted) for suite in (plain, again))
    assert list(expected) == list(found) == ["ridge", "encoding", "decoder", "fused"]
    for model, matrix in expected.items():
        np.testing.assert_array_equal(found[model], matrix, err_msg=model)
    assert again.report() == plain.report()
    assert again.chosen == plain.chosen
    for layer, rows in plain.predict(queries).items():
        np.testing.assert_array_equal(again.predict(queries)[layer], rows)


@pytest.mark.parametrize("what", ["signal", "label", "bank", "decoder", "no decoder", "seed", "noise", "source"])
def test_any_difference_is_fitted_anew(
    folder: Path, tmp_path: Path, fits: list[int], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments()
    if what == "signal":
        signals = given["train"].signals.copy()
        signals[7, 1, 2] = np.nextafter(signals[7, 1, 2], np.float32(9))
        given["train"] = replace(given["train"], signals=signals)
    elif what == "label":
        labels = given["train"].stimulus.copy()
        labels[[0, 3]] = labels[[3, 0]]
        given["train"] = replace(given["train"], stimulus=labels)
    elif what == "bank":
        given["bank"] = {name: rows.copy() for name, rows in BANK.items()}
        given["bank"]["late"][0, 0] += 1
    elif what == "decoder":
        given["decoder"] = {name: rows * 2 for name, rows in given["decoder"].items()}
    elif what == "no decoder":
        given["decoder"] = None
    elif what == "seed":
        given["seed"] = 1
    elif what == "noise":
        given["noise_kind"] = "dense"
    else:
        monkeypatch.setattr(kept, "computed_by", lambda *names: {"source": "other"})
    place = copied(folder, tmp_path / "sub-01")
    kept_linear_suite(place, **given)
    assert len(fits) == 1
    kept_linear_suite(place, **given)
    assert len(fits) == 1


@pytest.mark.parametrize("name", ["key.json", "suite/suite.json", "suite/arrays.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "edited", "removed"])
def test_damaged_files_are_fitted_anew(folder: Path, tmp_path: Path, fits: list[int], name: str, damage: str) -> None:
    place = copied(folder, tmp_path / "sub-01")
    content = (place / name).read_bytes()
    if damage == "cut":
        (place / name).write_bytes(content[: len(content) // 2])
    elif damage == "edited":
        # The last byte of the arrays is part of a number; the others stay readable as JSON.
        changed = content[:-1] + bytes([content[-1] ^ 1]) if name.endswith("tensors") else content + b" "
        (place / name).write_bytes(changed.replace(b'"key": "', b'"key": "0'))
    else:
        (place / name).unlink()
    suite = kept_linear_suite(place, **arguments())
    assert len(fits) == 1
    assert suite.report() == kept_linear_suite(folder, **arguments()).report()
    assert len(fits) == 1


def test_an_interrupted_fit_leaves_no_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kept, "fit_linear_suite", stopped)
    with pytest.raises(KeyboardInterrupt):
        kept_linear_suite(tmp_path / "sub-01", **arguments())
    assert [path.name for path in tmp_path.iterdir()] == [".sub-01.lock"]
