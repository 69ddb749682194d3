"""What every generator offers: from embeddings to pictures, in a space that it names."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.targets import TargetSpace


@runtime_checkable
class Generator(Protocol):
    """Draws pictures from embeddings of one space.

    Attributes
    ----------
    accepts : TargetSpace
        The space of the embeddings.
    """

    accepts: TargetSpace

    def generate(
        self,
        embeddings: NDArray[np.float32],
        *,
        seed: int,
        n_samples: int = 1,
        steps: int | None = None,
        keys: Sequence[str] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw `n_samples` pictures for every embedding.

        Parameters
        ----------
        embeddings : ndarray of float32, shape (n, dim)
            In the space `accepts`.
        seed : int
            Of all chance.
        n_samples : int
            Pictures for each embedding.
        steps : int, optional
            Steps of the sampler; by default the generator's own number.
        keys : sequence of str, optional
            Names of the rows, for example stimuli. The noise a row starts from depends on the seed, its key and the
            sample alone, so a row's picture does not depend on its company. By default the row's number.

        Returns
        -------
        ndarray of uint8, shape (n, n_samples, height, width, 3)
        """
        ...


def require_space(generator: Generator, space: TargetSpace) -> None:
    """Refuse embeddings of another space than the generator accepts.

    Parameters
    ----------
    generator : Generator
    space : TargetSpace
        Where the embeddings come from.

    Raises
    ------
    MismatchError
        Naming both spaces.
    """
    generator.accepts.require(space, what=f"generator {type(generator).__name__}")


def check_embeddings(embeddings: NDArray[np.float32], accepts: TargetSpace) -> NDArray[np.float32]:
    """Check the shape and the values of embeddings.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dim)
    accepts : TargetSpace
        The space whose shape they must have.

    Returns
    -------
    ndarray of float32, shape (n, dim)

    Raises
    ------
    MismatchError
        If the width is not that of the space.
    DataError
        If there are none, or a value is not finite.

    Examples
    --------
    >>> space = TargetSpace("net", "00", "last", "mean", "224", False, "vector", (2,))
    >>> check_embeddings(np.zeros((3, 2)), space).dtype
    dtype('float32')
    """
    values = np.asarray(embeddings, dtype=np.float32)
    if values.ndim != 2 or values.shape[1:] != accepts.shape:
        raise MismatchError(
            f"embeddings: got shape {values.shape}, expected (n, {accepts.shape[0]}) of the space {accepts.label}"
        )
    if len(values) == 0 or not np.isfinite(values).all():
        raise DataError(
            f"embeddings: got {len(values)} rows or values that are not finite, expected at least one finite row"
        )
    return values


def noise_seeds(seed: int, keys: Sequence[str], n_samples: int) -> list[list[int]]:
    """Derive one seed for every row and sample from nothing but the seed, the row's key and the sample's number.

    Parameters
    ----------
    seed : int
        Not negative.
    keys : sequence of str
        One a row.
    n_samples : int
        At least 1.

    Returns
    -------
    list of list of int
        ``n_samples`` numbers below 2**63 for each key.

    Raises
    ------
    ConfigError
        If the seed is negative or no sample is wanted.

    Examples
    --------
    >>> noise_seeds(0, ["a", "b"], 2)[1] == noise_seeds(0, ["b"], 2)[0]
    True
    """
    if seed < 0 or n_samples < 1:
        raise ConfigError(f"seed, n_samples: got {seed} and {n_samples}, expected at least 0 and at least 1")

    def derived(key: str, sample: int) -> int:
        return int.from_bytes(sha256(f"{seed}/{sample}/{key}".encode()).digest()[:8], "big") >> 1

    return [[derived(key, sample) for sample in range(n_samples)] for key in keys]


def row_keys(n: int, keys: Sequence[str] | None) -> list[str]:
    """Name the rows by `keys`, or by their numbers.

    Parameters
    ----------
    n : int
        Rows.
    keys : sequence of str, optional

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        If there is not one key a row.

    Examples
    --------
    >>> row_keys(2, None)
    ['0', '1']
    """
    if keys is None:
        return [str(row) for row in range(n)]
    if len(keys) != n:
        raise DataError(f"keys: got {len(keys)} for {n} embeddings, expected one each")
    return [str(key) for key in keys]
