"""Pictures under every condition, from a stub that draws what the embedding says, and never of what it has seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neurodecode.cli import reconstruct
from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.results import Results
from neurodecode.core.targets import TargetSpace
from neurodecode.evaluation.pictures import CONDITIONS, load_pictures
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.checkpoint import decode_with, open_checkpoint
from neurodecode.workflow.items import fold_items
from neurodecode.workflow.pictures import draw_with_network
from neurodecode.workflow.reconstruct import (
    NetworkModels,
    choose_stimuli,
    generator_layer,
    match_norm,
    nearest_rows,
    reconstruct_subject,
    true_pictures,
)

SIZE = 12
TEST = [f"s{number:03d}" for number in range(92, 116)]


class Stub(BuiltInGenerator):
    """Draws four bars as high as the four numbers of the embedding; without one, noise."""

    def __init__(self, accepts: TargetSpace, unseen: Sequence[str] = TEST) -> None:
        self.accepts = accepts
        self.unseen = frozenset(unseen)

    def generate(
        self,
        embeddings: NDArray[np.float32],
        *,
        seed: int,
        n_samples: int = 1,
        steps: int | None = None,
        keys: Sequence[str] | None = None,
    ) -> NDArray[np.uint8]:
        bars = np.repeat(np.clip(128 + 40 * embeddings, 0, 255).astype(np.uint8), SIZE // 4, axis=1)
        shape = (len(embeddings), n_samples, SIZE, SIZE, 3)
        return np.broadcast_to(bars[:, None, :, None, None], shape).copy()

    def prior(
        self, n: int, *, seed: int, steps: int | None = None, keys: Sequence[str] | None = None
    ) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (n, 1, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(small_study: PreparedStudy, trained: Path) -> NetworkModels:
    decode = decode_with(open_checkpoint(trained), fold=0)
    return NetworkModels(decode, "sub-01", 0, fold_items(small_study, "sub-01"))


def test_match_norm_keeps_directions_and_gives_the_training_length() -> None:
    random = np.random.default_rng(0)
    training = random.normal(3.0, 2.0, size=(50, 5)).astype(np.float32)
    centre = training.mean(axis=0)
    made = (centre + 0.1 * random.normal(size=(7, 5))).astype(np.float32)
    found = match_norm(made, training) - centre
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(training - centre, axis=1).mean(), rtol=1e-5)
    cosines = np.sum(found * (made - centre), axis=1) / lengths / np.linalg.norm(made - centre, axis=1)
    np.testing.assert_allclose(cosines, 1.0, atol=1e-4)
    np.testing.assert_allclose(match_norm(centre[None], training)[0], centre)


def test_nearest_rows_agree_with_the_correlation() -> None:
    random = np.random.default_rng(1)
    training, made = random.normal(size=(30, 6)), random.normal(size=(9, 6))
    centre = training.mean(axis=0)
    expected = []
    for row in made - centre:
        cosines = [row @ other / np.linalg.norm(row) / np.linalg.norm(other) for other in training - centre]
        expected.append(int(np.argmax(cosines)))
    assert nearest_rows(made.astype(np.float32), training.astype(np.float32)).tolist() == expected


def test_stimuli_are_drawn_by_the_seed_alone() -> None:
    first = choose_stimuli(TEST, 5, 0)
    assert first == choose_stimuli(TEST[::-1], 5, 0)
    assert first != choose_stimuli(TEST, 5, 1)
    assert len(set(first)) == 5
    assert choose_stimuli(TEST, 99, 0) == sorted(TEST)


def test_every_condition_is_made(small_study: PreparedStudy, bank: TargetBank, models: NetworkModels) -> None:
    stub, stimuli = Stub(bank.layers["last"].space), choose_stimuli(TEST, 10, 0)
    told: list[str] = []
    made = reconstruct_subject(
        small_study, bank, models, stub, stimuli=stimuli, seed=0, n_samples=2, shuffled=models, progress=told.append
    )
    assert set(made.conditions) == set(CONDITIONS)
    assert made.conditions["reconstruction"].shape == (10, 2, SIZE, SIZE, 3)
    np.testing.assert_array_equal(made.true, true_pictures(small_study, stimuli, SIZE))
    # With the same models given twice, the shuffled condition is drawn from the same predictions.
    np.testing.assert_array_equal(made.conditions["shuffled_brain"], made.conditions["reconstruction"])
    truth = stub.generate(bank.rows(stimuli)["last"], seed=0, n_samples=2)
    np.testing.assert_array_equal(made.conditions["true_embedding"], truth)

    def agreement(condition: str) -> float:
        pairs = zip(made.conditions[condition][:, 0], truth[:, 0], strict=True)
        return float(np.mean([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]))

    assert agreement("reconstruction") > 0.7
    assert agreement("reconstruction") > agreement("noise_input") + 0.3
    mean = made.conditions["mean_brain"]
    assert (mean == mean[:1]).all()
    known = {picture.tobytes() for picture in true_pictures(small_study, [f"s{n:03d}" for n in range(60)], SIZE)}
    for condition in ("nearest_training", "random_picture"):
        assert all(picture.tobytes() in known for picture in made.conditions[condition][:, 0])
    assert told[-1] == "prior only"


def test_what_must_not_be_drawn_is_refused(small_study: PreparedStudy, bank: TargetBank, models: NetworkModels) -> None:
    space = bank.layers["last"].space
    with pytest.raises(LeakageError, match=f"stimulus '{TEST[0]}' .* the generator was trained on it"):
        reconstruct_subject(
            small_study, bank, models, Stub(space, unseen=TEST[1:]), stimuli=TEST[:2], seed=0, n_samples=1
        )
    with pytest.raises(DataError, match="'s000' was not tested"):
        reconstruct_subject(
            small_study, bank, models, Stub(space, unseen=["s000"]), stimuli=["s000"], seed=0, n_samples=1
        )
    foreign = TargetSpace("planted", "00", "other", "none", "none", False, "vector", (4,))
    with pytest.raises(MismatchError, match="planted/other/none"):
        generator_layer(bank, Stub(foreign))


def test_the_command_draws_scores_and_says_what_is_missing(
    small_study: PreparedStudy,
    bank: TargetBank,
    targets_folder: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(folder: Path | None = None) -> BuiltInGenerator:
        return Stub(bank.layers["last"].space)

    def features() -> dict:
        return {"pixels": lambda pictures: pictures.reshape(len(pictures), -1).astype(float)}

    monkeypatch.setattr(BuiltInGenerator, "load", load)
    monkeypatch.setattr("neurodecode.workflow.pictures.picture_features", features)
    output = tmp_path / "result"
    reconstruct.run(small_study.folder, targets_folder, trained, output=output, n_pictures=8, n_samples=2)
    results = Results.from_json(output / "results.json")
    assert {score.subject for score in results.scores} == {"sub-01", "sub-02", "mean"}
    made = {score.model for score in results.scores}
    assert made == set(CONDITIONS) - {"shuffled_brain"}
    assert [(entry.model, entry.reason) for entry in results.absent] == [
        ("shuffled_brain", reconstruct.REASON_SHUFFLED)
    ]
    entry = load_pictures(output / "pictures.npz")[0]
    assert entry.conditions["reconstruction"].shape == (8, 2, SIZE, SIZE, 3)
    assert (output / "report.html").is_file()
    assert "SIMULATED" in capsys.readouterr().out
    with pytest.raises(LeakageError, match="expected only the 0 that it never saw"):
        draw_with_network(
            small_study,
            bank,
            trained,
            subjects=None,
            generator=Stub(bank.layers["last"].space, unseen=[]),
            n_pictures=4,
            n_samples=1,
            seed=0,
            absent={},
        )


def test_arguments_that_cannot_work_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--n_pictures: got 1, expected at least 2"):
        reconstruct.run(tmp_path, tmp_path, tmp_path, n_pictures=1)
    with pytest.raises(ConfigError, match="--n_samples: got 0, expected at least 1"):
        reconstruct.run(tmp_path, tmp_path, tmp_path, n_samples=0)
