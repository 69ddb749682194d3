"""A new person with the group as prior: nothing is made up where nothing is shared, and few trials go a long way."""

import numpy as np
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.linear.bank import rows_of, take_rows
from neurodecode.encoders.linear.group import fit_group, member_means, unwhitened
from neurodecode.encoders.linear.group_alignment import alignment
from neurodecode.encoders.linear.group_prior import (
    GRIDS,
    LEAST_FOR_REST,
    fit_group_model,
    grid_of,
    simplest_within_error,
)
from neurodecode.encoders.linear.noise import UNREPEATED, fit_whitener, noise_kind_of
from neurodecode.encoders.linear.selection import mean_reciprocal_rank, truth_index
from neurodecode.encoders.linear.trials import TrialSet, join

N_TRAIN, N_TEST, N_DIMS, SHAPE = 90, 30, 6, (6, 5)
NAMES = [f"s{number:03d}" for number in range(N_TRAIN + N_TEST)]
FEATURES = np.random.default_rng(0).standard_normal((len(NAMES), N_DIMS))
BANK = {"first": FEATURES[:, :4].astype(np.float32), "last": FEATURES[:, 2:].astype(np.float32)}
CODE = np.random.default_rng(1).standard_normal((N_DIMS, SHAPE[0] * SHAPE[1]))
TEST = np.array(NAMES[N_TRAIN:])


def person(seed: int, stimuli: np.ndarray, *, mixing: np.ndarray | None = None, noise: float = 8.0) -> TrialSet:
    generator = np.random.default_rng(seed)
    clean = (FEATURES[rows_of(stimuli, NAMES)] @ CODE).reshape(-1, *SHAPE)
    clean = clean if mixing is None else mixing @ clean
    signals = 3.0 + clean + noise * generator.standard_normal(clean.shape)
    return TrialSet(signals, stimuli, stimuli, np.ones(len(stimuli), dtype=np.int64))


@pytest.fixture(scope="module")
def group() -> object:
    shown = np.array(NAMES[:N_TRAIN] * 8)
    return fit_group(person(2, shown), BANK, NAMES, seed=0)


def score(group: object, own: TrialSet, test: TrialSet, strategy: str) -> tuple[float, object]:
    model = fit_group_model(own, group, BANK, NAMES, strategy=strategy, seed=0)  # type: ignore[arg-type]
    scores = model.score(test, group.of(TEST), take_rows(BANK, rows_of(TEST, NAMES)))  # type: ignore[attr-defined]
    return mean_reciprocal_rank(scores, truth_index(test.stimulus, TEST)), model


def averaged(trials: TrialSet) -> TrialSet:
    return trials.averaged()


@pytest.mark.parametrize("strategy", list(GRIDS))
def test_few_trials_of_a_shared_code(group: object, strategy: str) -> None:
    own = person(3, np.array(NAMES[:30]))
    test = averaged(person(4, np.tile(TEST, 10)))
    reached, _ = score(group, own, test, strategy)
    assert reached > 0.6
    shuffled = TrialSet(own.signals, np.random.default_rng(0).permutation(own.stimulus), own.group, own.repetitions)
    shuffled = TrialSet(shuffled.signals, shuffled.stimulus, shuffled.stimulus, shuffled.repetitions)
    other = TrialSet(test.signals, test.stimulus, test.group, test.repetitions)
    wrong = np.random.default_rng(1).permutation(len(TEST))
    other = TrialSet(other.signals[wrong], other.stimulus, other.group, other.repetitions)
    chance = float(np.mean(1 / np.arange(1, len(TEST) + 1)))
    assert score(group, own, other, strategy)[0] < chance + 0.15


def test_alignment_finds_turned_sensors(group: object) -> None:
    turn = np.roll(np.eye(SHAPE[0]), 1, axis=0)
    own = person(5, np.array(NAMES[:N_TRAIN] * 3), mixing=turn)
    test = averaged(person(6, np.tile(TEST, 10), mixing=turn))
    plain, aligned = score(group, own, test, "group")[0], score(group, own, test, "ridge")[0]
    assert aligned > plain + 0.2
    _, model = score(group, own, test, "ridge")
    assert model.notes["penalty"] != "scaled only"  # type: ignore[attr-defined]


def test_alignment_against_least_squares() -> None:
    generator = np.random.default_rng(0)
    theirs, own = generator.standard_normal((50, 4, 3)), generator.standard_normal((50, 4, 3))
    counts = generator.integers(1, 4, 50)
    found = alignment(own, theirs, counts, 1e-9)
    rows = np.repeat(np.sqrt(counts), 3)[:, None]
    flat = [values.transpose(0, 2, 1).reshape(-1, 4) * rows for values in (theirs, own)]
    expected = np.linalg.lstsq(flat[0], flat[1], rcond=None)[0].T
    assert np.allclose(found, expected, atol=1e-6)
    scaled = alignment(own, theirs, counts, np.inf)
    assert np.allclose(scaled, scaled[0, 0] * np.eye(4))


@pytest.mark.parametrize("kind", ["kronecker", "dense", "low_rank", "diagonal"])
def test_whitening_is_undone(kind: str) -> None:
    generator = np.random.default_rng(0)
    signals = (generator.standard_normal((200, 12)) @ generator.standard_normal((12, 12))).reshape(-1, 4, 3)
    whitener = fit_whitener(signals, np.repeat(np.arange(50), 4).astype(str), np.ones(200, dtype=np.int64), kind=kind)
    assert np.allclose(unwhitened(whitener, whitener.apply(signals)), signals, atol=1e-5)


def test_noise_without_repetitions() -> None:
    generator = np.random.default_rng(0)
    signals, names = 5 + 2 * generator.standard_normal((300, 3, 4)), np.arange(300).astype(str)
    ones = np.ones(300, dtype=np.int64)
    assert noise_kind_of(names) == UNREPEATED
    with pytest.raises(DataError, match="repetitions: got one row"):
        fit_whitener(signals, names, ones)
    rows = fit_whitener(signals, names, ones, kind=UNREPEATED).apply(signals)
    assert abs((rows - rows.mean(axis=0)).var() - 1) < 0.05


def test_unknown_strategy(group: object) -> None:
    with pytest.raises(ConfigError, match="strategy: got 'magic', expected one of group, ridge, group_prior"):
        fit_group_model(person(3, np.array(NAMES[:30])), group, BANK, NAMES, strategy="magic", seed=0)  # type: ignore[arg-type]


def test_members_one_at_a_time() -> None:
    members = [person(seed, np.array(NAMES[:N_TRAIN])) for seed in range(20, 26)]
    whole = join(members)
    found = member_means(iter(members), seed=0, noise_rows=200)
    single = found.select(found.repetitions == 1)
    # Fewer rows than all members have, the same means, and some rows to tell the noise by.
    assert 60 < len(single) < 300
    assert len(found) < len(whole)
    together, all_rows = found.averaged(), whole.averaged()
    assert together.stimulus.tolist() == all_rows.stimulus.tolist()
    assert together.repetitions.tolist() == all_rows.repetitions.tolist()
    assert np.allclose(together.signals, all_rows.signals, atol=1e-4)
    one, other = (fit_group(rows, BANK, NAMES, seed=0).of(TEST).ravel() for rows in (found, whole))
    assert np.corrcoef(one, other)[0, 1] > 0.95
    with pytest.raises(DataError, match="got no member"):
        member_means([], seed=0)


def test_noisy_losses_do_not_choose() -> None:
    generator = np.random.default_rng(0)
    options = [(penalty, False, "likelihood") for penalty in (np.inf, 10.0, 1.0)]
    noisy = {option: generator.normal(1.0, 0.5, 12) for option in options}
    assert simplest_within_error(noisy) == options[0]
    noisy[options[2]] = noisy[options[0]] - 0.5 + 0.1 * generator.standard_normal(12)
    assert simplest_within_error(noisy) == options[2]
    assert not any(rest for _, rest in grid_of("group_prior", LEAST_FOR_REST - 1))
    assert len(grid_of("group_prior", LEAST_FOR_REST)) == len(GRIDS["group_prior"])
