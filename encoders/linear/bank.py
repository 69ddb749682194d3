"""The target bank as the linear models see it: centred, equally weighted layers, their kernels and joint components.

Everything is fitted on training stimuli and then applied to candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError

Floats = NDArray[np.float64]
Bank = Mapping[str, NDArray[np.floating]]

KERNEL_WIDTH = 2.0  # of the Gaussian kernels, in mean squared distances between training stimuli


@dataclass(frozen=True)
class BankScaler:
    """Centre every layer and scale it to a total variance of one over the training rows.

    Parameters
    ----------
    means : dict of str to array of shape (dim,)
        Training mean of each layer, in the order of the bank.
    scales : dict of str to float
        Root of the total training variance of each layer; 1 for a layer that does not vary.
    """

    means: dict[str, Floats]
    scales: dict[str, float]

    def apply(self, bank: Bank) -> dict[str, Floats]:
        """Return centred and scaled layers, in the order of training, float64.

        Raises
        ------
        MismatchError
            If the layers or their widths differ from those of training.
        """
        check_bank(bank)
        if set(bank) != set(self.means):
            raise MismatchError(f"bank: got layers {sorted(bank)}, expected {sorted(self.means)}")
        for layer, mean in self.means.items():
            if bank[layer].shape[1] != len(mean):
                raise MismatchError(f"bank layer {layer!r}: got {bank[layer].shape[1]} dims, expected {len(mean)}")
        return {layer: (bank[layer] - mean) / self.scales[layer] for layer, mean in self.means.items()}


def check_bank(bank: Bank) -> int:
    """Return the number of rows of a bank.

    Raises
    ------
    DataError
        If there is no layer, a layer is not a finite matrix, or layers differ in their number of rows.
    """
    if not bank:
        raise DataError("bank: got no layer, expected at least one")
    rows = {layer: values.shape[0] for layer, values in bank.items() if values.ndim == 2}
    if len(rows) != len(bank) or len(set(rows.values())) != 1:
        shapes = {layer: values.shape for layer, values in bank.items()}
        raise DataError(f"bank: got shapes {shapes}, expected matrices with the same number of rows")
    for layer, values in bank.items():
        if not np.isfinite(values).all():
            raise DataError(f"bank layer {layer!r}: holds values that are not finite")
    return int(next(iter(rows.values())))


def take_rows(bank: Bank, rows: NDArray[np.intp]) -> dict[str, NDArray[np.floating]]:
    """Choose rows of every layer."""
    return {layer: values[rows] for layer, values in bank.items()}


def fit_bank_scaler(bank: Bank) -> BankScaler:
    """Fit the centring and scaling on training rows (one a training item, so a repeated stimulus counts repeatedly).

    Examples
    --------
    >>> scaler = fit_bank_scaler({"early": np.array([[0.0, 1.0], [2.0, 1.0]])})
    >>> scaler.apply({"early": np.array([[2.0, 1.0]])})["early"].tolist()
    [[1.0, 0.0]]
    """
    check_bank(bank)
    means = {layer: np.asarray(values, dtype=np.float64).mean(axis=0) for layer, values in bank.items()}
    scales: dict[str, float] = {}
    for layer, values in bank.items():
        spread = float(np.sqrt(((values - means[layer]) ** 2).sum(axis=1).mean()))
        scales[layer] = spread if spread > 1e-12 * (1 + float(np.abs(means[layer]).max())) else 1.0
    return BankScaler(means, scales)


@dataclass(frozen=True)
class FeatureKernel:
    """Broad Gaussian kernels between stimuli, one a layer, centred and scaled on the training rows.

    With a width of twice the mean squared distance the kernel is a linear one with a gentle bend, which follows real
    responses to the same pictures slightly better than a plain inner product.

    Parameters
    ----------
    rows : dict of str to array of shape (n_training, dim), float32
        Scaled training rows that new stimuli are compared with.
    widths : dict of str to float
        Squared distance at which a layer's kernel has fallen to 1/e.
    means : dict of str to array of shape (n_training,)
        Mean of each column of the uncentred training kernel.
    traces : dict of str to float
        Mean diagonal of the centred training kernel.
    """

    rows: dict[str, NDArray[np.float32]]
    widths: dict[str, float]
    means: dict[str, Floats]
    traces: dict[str, float]

    def between(self, scaled: Mapping[str, Floats]) -> Floats:
        """Kernels between given and training rows, (n_layers, n, n_training)."""
        kernels = []
        for layer, reference in self.rows.items():
            rounded = scaled[layer].astype(np.float32).astype(np.float64)
            raw = _gaussian_kernel(rounded, reference.astype(np.float64), self.widths[layer])
            column = self.means[layer]
            centred = raw - raw.mean(axis=1, keepdims=True) - column + column.mean()
            kernels.append(centred / self.traces[layer])
        return np.stack(kernels)


def _gaussian_kernel(rows: Floats, columns: Floats, width: float) -> Floats:
    squared = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1) - 2 * rows @ columns.T
    return np.asarray(np.exp(-np.maximum(squared, 0.0) / width))


def fit_feature_kernel(scaled: Mapping[str, Floats]) -> FeatureKernel:
    """Set widths, centring and scale on scaled training rows.

    Examples
    --------
    >>> rows = {"early": np.random.default_rng(0).standard_normal((20, 3))}
    >>> kernel = fit_feature_kernel(rows).between(rows)[0]
    >>> bool(np.allclose(kernel.sum(axis=0), 0, atol=1e-4)), bool(np.isclose(np.trace(kernel), 20))
    (True, True)
    """
    rows, widths, means, traces = {}, {}, {}, {}
    for layer, values in scaled.items():
        # Rounded once, here, so that a suite that was stored and read back gives the very same numbers.
        rows[layer] = values.astype(np.float32)
        kept = rows[layer].astype(np.float64)
        mean_distance = 2 * float(((kept - kept.mean(axis=0)) ** 2).sum(axis=1).mean())
        widths[layer] = KERNEL_WIDTH * mean_distance if mean_distance > 0 else 1.0
        raw = _gaussian_kernel(kept, kept, widths[layer])
        means[layer] = raw.mean(axis=0)
        trace = float(np.trace(raw)) / len(raw) - float(means[layer].mean())
        traces[layer] = trace if trace > 1e-12 else 1.0
    return FeatureKernel(rows, widths, means, traces)


def summed_products(scaled: Mapping[str, Floats]) -> Floats:
    """Inner products of all rows, summed over layers, (n, n)."""
    return np.asarray(sum(values @ values.T for values in scaled.values()))


def layer_weightings(n_layers: int) -> Floats:
    """Weightings of the layers that the encoding model mixes between, (n_weightings, n_layers), each summing to one.

    The first is even; the others are broad windows that glide over the layers in the bank's order (shallow to deep) on
    top of a small even share, since a brain area or latency follows neighbouring depths.

    Examples
    --------
    >>> layer_weightings(1).tolist()
    [[1.0]]
    >>> layer_weightings(7).shape
    (6, 7)
    """
    even = np.full((1, n_layers), 1.0 / n_layers)
    if n_layers == 1:
        return even
    depth = np.arange(n_layers)
    centres = np.linspace(0, n_layers - 1, min(5, n_layers))
    windows = np.exp(-0.5 * ((depth - centres[:, None]) / (0.25 * (n_layers - 1))) ** 2)
    windows /= windows.sum(axis=1, keepdims=True)
    return np.concatenate([even, 0.85 * windows + 0.15 * even])


def symmetric_eigen(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues (clipped at zero, falling) and eigenvectors of a positive semi-definite matrix."""
    values, vectors = scipy.linalg.eigh(matrix, driver="evd", check_finite=False)
    return np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors[:, ::-1])


@dataclass(frozen=True)
class JointComponents:
    """Principal components of all scaled layers together.

    Parameters
    ----------
    loadings : dict of str to array of shape (dim, n_components)
        Directions, orthonormal when the layers are stacked.
    """

    loadings: dict[str, Floats]

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(next(iter(self.loadings.values())).shape[1])

    def scores(self, scaled: Mapping[str, Floats]) -> Floats:
        """Coordinates (n, n_components) of scaled layers."""
        return np.asarray(sum(scaled[layer] @ loading for layer, loading in self.loadings.items()))

    def grams(self) -> Floats:
        """Inner products of the loadings within each layer, (n_layers, n_components, n_components)."""
        return np.stack([loading.T @ loading for loading in self.loadings.values()])

    def layers(self, scores: Floats, scaler: BankScaler) -> dict[str, NDArray[np.float32]]:
        """Map coordinates back to every layer, in the layer's own units, float32."""
        return {
            layer: (scores @ loading.T * scaler.scales[layer] + scaler.means[layer]).astype(np.float32)
            for layer, loading in self.loadings.items()
        }


def fit_joint_components(
    scaled: Mapping[str, Floats], values: Floats, vectors: Floats, n_components: int
) -> JointComponents:
    """Derive joint components from the eigenvectors of the training rows' summed kernel.

    Parameters
    ----------
    scaled : mapping of str to array of shape (n, dim)
        Scaled training rows.
    values, vectors : arrays of shape (n,) and (n, n)
        Eigenvalues, falling, and eigenvectors of the sum of the layers' kernels.
    n_components : int
        Upper limit; directions without variance are left out.

    Raises
    ------
    DataError
        If nothing in the bank varies.
    """
    usable = int((values > 1e-8 * max(float(values[0]), 1e-300)).sum()) if values[0] > 0 else 0
    if usable == 0:
        raise DataError("bank: all training rows are equal, expected targets that vary")
    kept = min(n_components, usable)
    dual = vectors[:, :kept] / np.sqrt(values[:kept])
    return JointComponents({layer: rows.T @ dual for layer, rows in scaled.items()})


def rows_of(stimulus: Sequence[str] | NDArray[np.str_], names: Sequence[str] | NDArray[np.str_]) -> NDArray[np.intp]:
    """Row of the bank of every stimulus.

    Raises
    ------
    DataError
        If a stimulus has no row, or a name appears twice.

    Examples
    --------
    >>> rows_of(["b", "a", "b"], ["a", "b"])
    array([1, 0, 1])
    """
    place = {str(name): row for row, name in enumerate(names)}
    if len(place) != len(names):
        raise DataError(f"bank: got {len(names)} rows with {len(place)} names, expected unique names")
    missing = [str(name) for name in stimulus if str(name) not in place]
    if missing:
        raise DataError(f"stimulus {missing[0]!r} has no row in the bank of {len(names)} stimuli")
    return np.array([place[str(name)] for name in stimulus], dtype=np.intp)
