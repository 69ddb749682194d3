"""Spaces, keys and seeds that all generators share."""

from dataclasses import replace

import numpy as np
import pytest

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.base import check_embeddings, noise_seeds, row_keys


def test_embeddings_of_another_width_are_refused(space: TargetSpace) -> None:
    with pytest.raises(MismatchError, match=r"\(2, 5\).*\(n, 6\).*net/last/mean"):
        check_embeddings(np.zeros((2, 5), np.float32), space)


@pytest.mark.parametrize("bad", [np.zeros((0, 6)), np.full((1, 6), np.nan)])
def test_missing_and_infinite_embeddings_are_refused(space: TargetSpace, bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="embeddings"):
        check_embeddings(bad, space)


def test_wider_types_become_float32(space: TargetSpace) -> None:
    wide = replace(space, shape=(3,))
    assert check_embeddings(np.ones((2, 3), np.float64), wide).dtype == np.float32


def test_seeds_differ_between_keys_samples_and_seeds() -> None:
    numbers = [number for seed in (0, 1) for row in noise_seeds(seed, ["a", "b", "11"], 3) for number in row]
    assert len(set(numbers)) == 18
    assert all(0 <= number < 2**63 for number in numbers)


def test_more_samples_keep_the_first_ones() -> None:
    assert noise_seeds(5, ["a"], 4)[0][:2] == noise_seeds(5, ["a"], 2)[0]


@pytest.mark.parametrize(("seed", "n_samples"), [(-1, 1), (0, 0)])
def test_impossible_seeds_are_refused(seed: int, n_samples: int) -> None:
    with pytest.raises(ConfigError, match="seed"):
        noise_seeds(seed, ["a"], n_samples)


def test_one_key_a_row() -> None:
    with pytest.raises(DataError, match="got 1 for 2"):
        row_keys(2, ["a"])
