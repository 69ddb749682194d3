"""The data module: averaging, grouping, order, what is fitted on what, and refusals."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.study import Study
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.items import draw_repetitions, plan_batches
from neurodecode.training.loading import RequestSampler
from neurodecode.training.preparation import Preparation, require_same_interface
from neurodecode.training.target_reduction import TargetReduction

N_TRAIN, N_VAL, N_TEST, N_REPETITIONS, N_TIMES = 24, 8, 8, 3, 6


def make(study: PreparedStudy, targets: dict[str, str], **settings: Any) -> BrainDataModule:
    return BrainDataModule(str(study.folder), targets, **settings)


def raw_mean(study: PreparedStudy, subject: str, stimulus: str) -> np.ndarray:
    recording = study.recording(subject)
    rows = np.flatnonzero(recording.windows["stimulus"] == stimulus)
    return recording.read(rows).mean(axis=0)


# -- sizes, items and batches ------------------------------------------------------------------------------------


def test_sizes_are_known_before_setup(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = make(tiny_study, tiny_targets, components=2)
    interface = data.interface
    assert {name: entry["n_channels"] for name, entry in interface["subjects"].items()} == {"sub-01": 7, "sub-02": 9}
    assert interface["n_times"] == N_TIMES
    assert {name: entry["size"] for name, entry in interface["targets"].items()} == {"first": 2, "second.1": 2}
    assert interface["simulated"] is True
    assert interface["split"] == tiny_study.split.hash
    assert not data.preparation.transforms
    only = make(tiny_study, tiny_targets, transforms=[{"name": "select_channels", "region": "front"}])
    assert only.interface["subjects"]["sub-02"]["n_channels"] == 3


def test_an_epoch_visits_every_item_once_grouped_by_subject(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str]
) -> None:
    data = make(tiny_study, tiny_targets, batch_size=10)
    data.setup("fit")
    loader = data.train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 5
    seen = [pair for batch in batches for pair in zip(batch.subjects, batch.candidates, strict=True)]
    assert len(seen) == len(set(seen)) == 2 * N_TRAIN
    for batch in batches:
        names = [group.subject for group in batch.groups]
        assert names == sorted(set(names))
        assert all(group.signal.shape[1:] == (7 if group.subject == "sub-01" else 9, N_TIMES) for group in batch.groups)
        assert batch.targets["first"].shape == (len(batch), 3)
        table = data.items("train").table.iloc[batch.items.numpy()]
        assert table["candidate"].tolist() == batch.candidates
        assert table["subject"].tolist() == batch.subjects


def test_rows_are_the_mean_of_all_repetitions(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = make(tiny_study, tiny_targets, transforms=[], batch_size=100)
    data.setup("fit")
    (batch,) = list(data.val_dataloader())
    assert batch.repetitions.tolist() == [N_REPETITIONS] * 2 * N_VAL
    first = batch.groups[0]
    expected = raw_mean(tiny_study, first.subject, batch.candidates[0])
    np.testing.assert_allclose(first.signal[0].numpy(), expected, rtol=1e-5)


def test_targets_belong_to_their_stimuli(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], planted: np.ndarray
) -> None:
    data = make(tiny_study, tiny_targets)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    restored = data.preparation.reductions["first"].restore(batch.targets["first"].numpy())
    numbers = [int(name[1:]) for name in batch.candidates]
    np.testing.assert_allclose(restored, planted[numbers, :3], atol=1e-4)
    same = batch.candidate_index[:, None] == batch.candidate_index[None, :]
    expected = np.array(batch.candidates)[:, None] == np.array(batch.candidates)[None, :]
    assert (same.numpy() == expected).all()


@pytest.mark.parametrize(("averaging", "counts"), [(1, {1}), (2, {2}), (9, {3}), ("all", {3}), ("random", {1, 2, 3})])
def test_training_averages_as_told(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], averaging: Any, counts: set[int]
) -> None:
    data = make(tiny_study, tiny_targets, average_training=averaging)
    data.setup("fit")
    found = {int(count) for batch in data.train_dataloader() for count in batch.repetitions}
    assert found == counts


def test_draws_depend_on_seed_and_epoch_alone(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    def epoch(number: int, seed: int, workers: int = 0) -> list[tuple[list[str], torch.Tensor]]:
        data = make(
            tiny_study, tiny_targets, average_training=1, seed=seed, num_workers=workers, batch_size=16, transforms=[]
        )
        data.setup("fit")
        loader = data.train_dataloader()
        assert isinstance(loader.sampler, RequestSampler)
        loader.sampler.set_epoch(number)
        return [(batch.candidates, batch.groups[0].signal) for batch in loader]

    for first, again in zip(epoch(3, 0), epoch(3, 0), strict=True):
        assert first[0] == again[0]
        assert torch.equal(first[1], again[1])
    assert [batch[0] for batch in epoch(3, 0)] != [batch[0] for batch in epoch(4, 0)]
    assert [batch[0] for batch in epoch(3, 0)] != [batch[0] for batch in epoch(3, 1)]


@pytest.mark.slow
def test_workers_read_the_same_batches(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    found = []
    for workers in (0, 2):
        data = make(tiny_study, tiny_targets, average_training="random", num_workers=workers, batch_size=16)
        data.setup("fit")
        found.append(list(data.train_dataloader()))
    for first, second in zip(*found, strict=True):
        assert first.candidates == second.candidates
        assert torch.equal(first.groups[0].signal, second.groups[0].signal)


def test_data_module_can_be_sent_to_workers(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = make(tiny_study, tiny_targets)
    data.setup("fit")
    # Pickled by ourselves a moment ago, which is what a spawned worker is handed.
    again = pickle.loads(pickle.dumps(data.dataset("val", "all")))
    assert len(again) == 2 * N_VAL


def test_plan_gives_every_process_its_share() -> None:
    subjects = np.array(["a"] * 5 + ["b"] * 4)
    shares = plan_batches(subjects, batch_size=3, shuffle=True, generator=np.random.default_rng(0), processes=2)
    assert [len(share) for share in shares] == [2, 2]
    dealt = np.concatenate([rows for share in shares for rows in share])
    assert sorted(set(dealt.tolist())) == list(range(9))
    assert len(dealt) == 10


def test_repetitions_are_drawn_without_replacement() -> None:
    generator = np.random.default_rng(0)
    draws = [draw_repetitions(np.arange(10, 14), 2, generator) for _ in range(200)]
    assert all(len(set(draw.tolist())) == 2 for draw in draws)
    counts = np.bincount(np.concatenate(draws), minlength=14)[10:]
    assert counts.min() > 70  # each of four is drawn in half of 200 draws


# -- what is fitted ----------------------------------------------------------------------------------------------


def test_transforms_and_components_see_training_windows_only(
    tiny_study: PreparedStudy,
    tiny_targets: dict[str, str],
    tiny_study_class: type[Study],
    tmp_path: Path,
    planted: np.ndarray,
) -> None:
    class Spoilt(tiny_study_class):  # type: ignore[misc, valid-type]
        """The same study with everything but the training windows multiplied by a thousand."""

        def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Any:
            recording = super().load(subject, sfreq=sfreq, store=store)
            held_out = ~np.isin(recording.windows["stimulus"], [f"s{number:02d}" for number in range(N_TRAIN)])
            recording.blocks["all"].data[held_out] *= 1000
            return recording

    spoilt = prepare_study(Spoilt(tmp_path), tmp_path / "cache")
    transforms = [{"name": "noise_whitener"}, {"name": "standardize", "per_time": True}]
    states = []
    for study in (tiny_study, spoilt):
        data = make(study, tiny_targets, transforms=transforms)
        states.append(data.prepare_fold())
    for subject in ("sub-01", "sub-02"):
        first, second = (state.transforms[subject].state() for state in states)
        assert all((first[key] == second[key]).all() for key in first)
    fitted = TargetReduction.fit(planted[:N_TRAIN, :3], n_components=None)
    np.testing.assert_allclose(states[0].reductions["first"].mean, fitted.mean, rtol=1e-6)
    np.testing.assert_allclose(np.abs(states[0].reductions["first"].components), np.abs(fitted.components), atol=1e-5)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_reduction_is_principal_components(whitening: float) -> None:
    generator = np.random.default_rng(0)
    values = (generator.normal(size=(60, 6)) * np.array([5, 4, 3, 2, 1, 0.5])).astype(np.float32) + 2
    reduction = TargetReduction.fit(values, n_components=3, whitening=whitening)
    reduced = reduction(values)
    assert reduced.shape == (60, 3)
    deviations = np.sqrt(np.linalg.eigvalsh(np.cov(values.T))[::-1][:3])
    found = reduced.std(axis=0, ddof=1)
    expected = deviations ** (1 - whitening)
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=1e-4)
    assert np.mean(found**2) == pytest.approx(1, rel=1e-4)
    whole = TargetReduction.fit(values, n_components=None, whitening=whitening)
    np.testing.assert_allclose(whole.restore(whole(values)), values, atol=1e-3)


def test_reduction_with_fewer_stimuli_than_dimensions() -> None:
    values = np.random.default_rng(0).normal(size=(4, 20)).astype(np.float32)
    reduction = TargetReduction.fit(values, n_components=None)
    assert reduction.components.shape == (3, 20)
    np.testing.assert_allclose(reduction.restore(reduction(values)), values, atol=1e-4)


def test_preparation_survives_a_checkpoint(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    data = make(tiny_study, tiny_targets, transforms=[{"name": "standardize"}, {"name": "noise_whitener"}])
    preparation = data.prepare_fold()
    torch.save(preparation.state(), tmp_path / "state.pt")
    again = Preparation.from_state(torch.load(tmp_path / "state.pt", weights_only=True))
    signals = tiny_study.recording("sub-01").read([0, 5])
    np.testing.assert_array_equal(again.apply("sub-01", signals), preparation.apply("sub-01", signals))
    assert again.interface == preparation.interface
    with pytest.raises(MismatchError, match="'sub-09'"):
        again.apply("sub-09", signals)


def test_evaluation_needs_a_checkpoint(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = make(tiny_study, tiny_targets)
    data.setup("test")
    with pytest.raises(ConfigError, match="ckpt_path"):
        data.test_dataloader()


def test_fitting_windows_are_bounded_and_whole(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    signals, names = make(tiny_study, tiny_targets, fitting_windows=10).training_windows("sub-01")
    assert len(signals) == 9
    assert set(np.unique(names, return_counts=True)[1]) == {N_REPETITIONS}


# -- refusals ----------------------------------------------------------------------------------------------------


def test_another_fold_or_split_is_a_leak(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    interface = make(tiny_study, tiny_targets).interface
    require_same_interface(interface, dict(interface), what="last.ckpt")
    with pytest.raises(LeakageError, match="fold 0, but the data has 1"):
        require_same_interface(interface, {**interface, "fold": 1}, what="last.ckpt")
    with pytest.raises(LeakageError, match="split"):
        require_same_interface(interface, {**interface, "split": "other"}, what="last.ckpt")


def test_other_data_is_a_mismatch_that_names_both_sides(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str]
) -> None:
    interface = make(tiny_study, tiny_targets).interface
    fewer = make(tiny_study, tiny_targets, subjects=["sub-01"]).interface
    with pytest.raises(MismatchError, match="sub-01, sub-02, but the data has sub-01"):
        require_same_interface(interface, fewer, what="last.ckpt")
    other = make(tiny_study, {"first": tiny_targets["second.1"], "second.1": tiny_targets["second.1"]}).interface
    with pytest.raises(MismatchError, match=r"planted/first/none.*planted/second\.1/none"):
        require_same_interface(interface, other, what="last.ckpt")
    reduced = make(tiny_study, tiny_targets, components=2).interface
    with pytest.raises(MismatchError, match="size 3 there, but 2"):
        require_same_interface(interface, reduced, what="last.ckpt")
    selected = make(tiny_study, tiny_targets, transforms=[{"name": "select_channels", "region": "front"}]).interface
    with pytest.raises(MismatchError, match=r"7 channels.*but 3"):
        require_same_interface(interface, selected, what="last.ckpt")
    with pytest.raises(MismatchError, match="6 time points there, but 5"):
        require_same_interface(interface, {**interface, "n_times": 5}, what="last.ckpt")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fold": 1}, "fold: got 1, expected 0 to 0"),
        ({"subjects": ["sub-07"]}, "'?sub-07.*sub-01, sub-02"),
        ({"subjects": []}, "none"),
        ({"average_training": 0}, "average_training"),
        ({"average_evaluation": "some"}, "average_evaluation"),
        ({"batch_size": 0}, "batch_size"),
        ({"transforms": [{"name": "standardise"}]}, "standardise.*standardize"),
        ({"transforms": [{"name": "standardize", "clip": 3}]}, "clip"),
        ({"transforms": [{"name": "select_channels", "region": "back"}]}, "'back'.*front"),
        ({"components": {"third": 2}}, "'third'.*first"),
    ],
)
def test_bad_arguments_are_config_errors(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tiny_study, tiny_targets, **settings)


def test_bad_folders_are_data_errors(tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a prepared study"):
        BrainDataModule(str(tmp_path), tiny_targets)
    with pytest.raises(DataError, match="no such folder of targets"):
        make(tiny_study, {"first": str(tmp_path / "nothing")})
    with pytest.raises(ConfigError, match="targets"):
        make(tiny_study, {})
