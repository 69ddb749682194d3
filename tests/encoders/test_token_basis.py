"""Coordinates of wide targets are the principal ones, whatever the size of the blocks they are read in."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.encoders.linear.token_basis import TokenBasis

N_KNOWN, N_NEW, SHAPE = 30, 7, (5, 11)


class Store:
    """Tokens by name, which count how many were asked for at once."""

    def __init__(self, tokens: NDArray[np.float32]) -> None:
        self.tokens, self.most = tokens, 0

    def __call__(self, names: Sequence[str]) -> NDArray[np.float32]:
        self.most = max(self.most, len(names))
        return self.tokens[[int(name) for name in names]]


@pytest.fixture
def store() -> Store:
    generator = np.random.default_rng(0)
    strengths = 2.0 ** -np.arange(55).reshape(SHAPE)
    return Store((generator.normal(size=(N_KNOWN + N_NEW, *SHAPE)) * strengths + 3).astype(np.float32))


KNOWN = [str(number) for number in range(N_KNOWN)]
NEW = [str(number) for number in range(N_KNOWN, N_KNOWN + N_NEW)]


@pytest.mark.parametrize("block_bytes", [1, 4 * 55 * 7, 2**28])
def test_coordinates_are_those_of_principal_components(store: Store, block_bytes: int) -> None:
    basis = TokenBasis.fit(store, KNOWN, most=9, block_bytes=block_bytes)
    assert store.most <= max(1, block_bytes // (4 * 55))
    reference = PCA(9).fit(store.tokens[:N_KNOWN].reshape(N_KNOWN, -1).astype(np.float64))
    for names, rows in ((KNOWN, slice(0, N_KNOWN)), (NEW, slice(N_KNOWN, None))):
        expected = reference.transform(store.tokens[rows].reshape(-1, 55))
        found = basis.of(names)
        signs = np.sign((found * expected).sum(0))
        np.testing.assert_allclose(found * signs, expected, atol=2e-4)
    np.testing.assert_allclose(basis.of([NEW[2], KNOWN[4], NEW[0]])[1], basis.own[4], atol=1e-6)
    restored = basis.restore(basis.of(NEW)).reshape(N_NEW, -1)
    expected = reference.inverse_transform(reference.transform(store.tokens[N_KNOWN:].reshape(N_NEW, -1)))
    np.testing.assert_allclose(restored, expected, atol=2e-4)


def test_all_coordinates_keep_every_distance(store: Store) -> None:
    basis = TokenBasis.fit(store, KNOWN)
    flat = store.tokens[:N_KNOWN].reshape(N_KNOWN, -1)
    for values in (basis.own, basis.coordinates(store.tokens[:N_KNOWN])):
        np.testing.assert_allclose(
            np.linalg.norm(values[:, None] - values, axis=2), np.linalg.norm(flat[:, None] - flat, axis=2), atol=1e-3
        )


def test_nothing_is_learnt_from_new_stimuli(store: Store) -> None:
    before = TokenBasis.fit(store, KNOWN).coordinates(store.tokens[:3])
    store.tokens[N_KNOWN:] = 1e6
    np.testing.assert_array_equal(TokenBasis.fit(store, KNOWN).coordinates(store.tokens[:3]), before)


def test_bad_targets_are_named(store: Store) -> None:
    with pytest.raises(DataError, match="got 1 known stimuli, expected at least 2"):
        TokenBasis.fit(store, KNOWN[:1])
    basis = TokenBasis.fit(store, KNOWN)
    with pytest.raises(MismatchError, match="got values of 4 numbers, expected 55"):
        basis.coordinates(np.zeros((2, 4), dtype=np.float32))
    store.tokens[4, 1, 1] = np.nan
    with pytest.raises(DataError, match="target of '4': holds values that are not finite"):
        TokenBasis.fit(store, KNOWN)
    store.tokens[:] = 1
    with pytest.raises(DataError, match="the same embedding"):
        TokenBasis.fit(store, KNOWN)
