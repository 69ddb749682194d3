"""Noise covariance from repetitions, and whitening with it.

Everything here looks at training rows only and returns an object whose arrays can be stored. After whitening, the noise
of a single trial has (as well as it could be estimated) the identity covariance, so the noise of an average of r trials
is the identity over r. That is what lets every later formula know the noise of a row from its count alone.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.linear.trials import Strings

Floats = NDArray[np.float64]

KINDS = ("kronecker", "dense", "low_rank", "diagonal")
#: Noise where (nearly) no stimulus is repeated: all that varies, of which a trial's response is a small part.
UNREPEATED = "unrepeated"
LEAST_REPEATED = 0.25  # share of the rows that must be repetitions, or else they are not enough to estimate from
DENSE_LIMIT = 3000  # a dense covariance of more features than this costs too much time
NONLINEAR_FROM = 1.5  # degrees of freedom per feature from which eigenvalues are shrunk one by one
LOW_RANK = 200
# Directions with a variance below this share of the mean are treated as if they had it: an average reference, for
# example, leaves one direction with no noise at all, and dividing by nothing would blow up rounding errors.
VARIANCE_FLOOR = 1e-6


def ledoit_wolf(samples: NDArray[np.floating]) -> tuple[Floats, float]:
    """Covariance of zero-mean samples, shrunk towards a multiple of the identity.

    Parameters
    ----------
    samples : array of shape (n_samples, n_features)
        Zero-mean rows.

    Returns
    -------
    covariance : array of shape (n_features, n_features)
    shrinkage : float
        Weight of the target, between 0 and 1 (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4).

    Examples
    --------
    >>> covariance, shrinkage = ledoit_wolf(np.random.default_rng(0).standard_normal((500, 3)))
    >>> bool(np.abs(covariance - np.eye(3)).max() < 0.2), 0 < shrinkage <= 1
    (True, True)
    """
    n_samples, n_features = samples.shape
    covariance = np.asarray(samples.T @ samples, dtype=np.float64) / n_samples
    mean_variance = float(np.trace(covariance)) / n_features
    squares = np.asarray(samples, dtype=samples.dtype) ** 2
    # sum over i, j of mean_n (x_i x_j)^2 is the mean over n of (sum_i x_i^2)^2.
    fourth_moment = float((squares.sum(axis=1, dtype=np.float64) ** 2).mean())
    spread = float((covariance**2).sum())
    distance = spread - n_features * mean_variance**2
    error = max((fourth_moment - spread) / n_samples, 0.0)
    shrinkage = 1.0 if distance <= 0 else float(min(error / distance, 1.0))
    covariance *= 1 - shrinkage
    covariance.flat[:: n_features + 1] += shrinkage * mean_variance
    return covariance, shrinkage


def nonlinear_shrinkage(samples: NDArray[np.floating], n_effective: int) -> tuple[Floats, Floats]:
    """Eigenvalues shrunk each by its own amount, which keeps the inverse good where features are many.

    Parameters
    ----------
    samples : array of shape (n_samples, n_features)
        Zero-mean rows.
    n_effective : int
        Degrees of freedom among them (samples less the means taken out); more than the features.

    Returns
    -------
    values : array of shape (n_features,)
        Shrunk eigenvalues, in rising order of the sample eigenvalues.
    vectors : array of shape (n_features, n_features)
        Sample eigenvectors.

    Raises
    ------
    ConfigError
        If there are no more degrees of freedom than features.

    References
    ----------
    Ledoit and Wolf 2020, doi:10.1214/19-AOS1921 (the analytical estimator, with the Epanechnikov kernel).

    Examples
    --------
    >>> values, _ = nonlinear_shrinkage(np.random.default_rng(0).standard_normal((400, 150)), 400)
    >>> bool(np.abs(values - 1).max() < 0.25)
    True
    """
    n_samples, n_features = samples.shape
    if n_effective <= n_features:
        raise ConfigError(f"nonlinear shrinkage: got {n_effective} degrees of freedom, expected over {n_features}")
    covariance = np.asarray(samples.T @ samples, dtype=np.float64) / n_samples
    sample_values, vectors = scipy.linalg.eigh(covariance, driver="evd", check_finite=False)
    values = np.maximum(sample_values, 1e-10 * float(sample_values[-1]))
    ratio = n_features / n_effective
    width = n_effective ** (-1 / 3) * values
    distance = (values[:, None] - values) / width
    root = np.sqrt(5.0)
    density = (0.75 / root * np.maximum(1 - distance**2 / 5, 0) / width).mean(axis=1)
    at_edge = np.abs(np.abs(distance) - root) < 1e-12
    inside = np.where(at_edge, 0.0, distance)
    logarithm = np.where(at_edge, 0.0, np.log(np.abs((root - inside) / (root + inside))))
    hilbert = -0.3 / np.pi * distance + 0.75 / root / np.pi * (1 - distance**2 / 5) * logarithm
    hilbert = (hilbert / width).mean(axis=1)
    inner = 1 - ratio - np.pi * ratio * values * hilbert
    return values / ((np.pi * ratio * values * density) ** 2 + inner**2), vectors


def repetition_residuals(
    signals: NDArray[np.floating], stimulus: Strings, repetitions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Subtract from each row its stimulus' mean, and scale what is left to the noise of a single trial.

    Parameters
    ----------
    signals : array of shape (n, ...)
    stimulus : array of str of shape (n,)
    repetitions : array of int of shape (n,)
        Trials in each row. A row of r trials out of R of its stimulus keeps (1 - r/R) of its variance 1/r, and is
        scaled up for both.

    Returns
    -------
    array of shape (n_kept, ...), float32
        Rows of stimuli with at least two rows. n_kept less the number of those stimuli is the degrees of freedom.

    Raises
    ------
    DataError
        If no stimulus has two rows: without repetitions there is no estimate of the noise.
    """
    names, inverse, counts = np.unique(stimulus, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    if counts.max() < 2:
        raise DataError(f"repetitions: got one row for each of {len(names)} stimuli, expected two or more for some")
    keep = counts[inverse] > 1
    totals = np.bincount(inverse, weights=repetitions)
    flat = signals.reshape(len(signals), -1)
    means = np.zeros((len(names), flat.shape[1]), dtype=np.float64)
    np.add.at(means, inverse, flat * repetitions[:, None])
    means /= totals[:, None]
    scale = np.sqrt(repetitions[keep] / (1 - repetitions[keep] / totals[inverse[keep]]))
    residuals = (flat[keep] - means[inverse[keep]]) * scale[:, None]
    return residuals.astype(np.float32).reshape(-1, *signals.shape[1:])


def noise_kind_of(stimulus: Strings) -> str:
    """Tell how the noise can be estimated: ``auto`` from repetitions, or ``unrepeated`` where there are too few.

    Examples
    --------
    >>> noise_kind_of(np.array(["a", "b", "c"])), noise_kind_of(np.array(["a", "a", "b"]))
    ('unrepeated', 'auto')
    """
    return "auto" if 1 - len(np.unique(stimulus)) / len(stimulus) >= LEAST_REPEATED else UNREPEATED


def noise_residuals(
    signals: NDArray[np.floating], stimulus: Strings, repetitions: NDArray[np.int64], kind: str
) -> NDArray[np.float32]:
    """Give rows with the noise of a trial, see `repetition_residuals`; of kind `UNREPEATED` all about their mean."""
    if kind != UNREPEATED:
        return repetition_residuals(signals, stimulus, repetitions)
    return repetition_residuals(signals, np.full(len(signals), "one"), repetitions)


@dataclass(frozen=True)
class Whitener:
    """A linear map after which single-trial noise has the identity covariance.

    Parameters
    ----------
    kind : {"kronecker", "dense", "low_rank", "diagonal"}
        Structure of the covariance.
    shape : tuple of int
        Channels and times of a row.
    arrays : dict of str to array
        What `apply` needs; see `fit_whitener`.
    notes : dict of str to float
        Shrinkage and other numbers for the report.
    """

    kind: str
    shape: tuple[int, int]
    arrays: dict[str, Floats]
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        """Length of a whitened row."""
        return self.shape[0] * self.shape[1]

    def apply(self, signals: NDArray[np.floating]) -> Floats:
        """Whiten rows of shape (n, channels, times) into (n, channels x times), float64.

        Raises
        ------
        DataError
            If channels or times differ from those seen when fitting.
        """
        if signals.shape[1:] != self.shape:
            raise DataError(f"signals: got {signals.shape[1:]} channels and times, expected {self.shape}")
        rows = np.asarray(signals, dtype=np.float64)
        if self.kind == "kronecker":
            rows = self.arrays["space"] @ rows @ self.arrays["time"]
            return np.ascontiguousarray(rows.reshape(len(rows), -1))
        flat = rows.reshape(len(rows), -1) * self.arrays["gain"]
        if self.kind == "dense":
            return np.asarray(flat @ self.arrays["root"])
        if self.kind == "low_rank":
            basis = self.arrays["basis"]
            return flat + (flat @ basis.T) * self.arrays["basis_gain"] @ basis
        return flat


def _inverse_root(covariance: Floats) -> Floats:
    """Symmetric inverse square root with a floor under the eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    floor = VARIANCE_FLOOR * values.mean()
    return np.asarray((vectors / np.sqrt(np.maximum(values, floor))) @ vectors.T)


def kronecker_factors(residuals: NDArray[np.floating], n_rounds: int = 4) -> tuple[Floats, Floats, dict[str, float]]:
    """Space and time factors of a covariance that is their Kronecker product, by alternating shrunk estimates.

    Each factor in turn is estimated from samples that the other has whitened (the flip-flop maximum-likelihood
    iteration, Dutilleul 1999, doi:10.1080/00949659908811970) and shrunk after Ledoit and Wolf.

    Parameters
    ----------
    residuals : array of shape (n, channels, times)
    n_rounds : int
        Alternations; the factors have settled after three or four.

    Returns
    -------
    space : array of shape (channels, channels)
        Carries the scale.
    time : array of shape (times, times)
        Mean variance 1.
    notes : dict
        Both shrinkages.
    """
    _, n_channels, n_times = residuals.shape
    rows = np.asarray(residuals, dtype=np.float32)
    time = np.eye(n_times)
    space = np.eye(n_channels)
    notes: dict[str, float] = {}
    for _ in range(n_rounds):
        samples = rows @ _inverse_root(time).astype(np.float32)
        space, notes["shrinkage_space"] = ledoit_wolf(samples.transpose(0, 2, 1).reshape(-1, n_channels))
        samples = _inverse_root(space).astype(np.float32) @ rows
        time, notes["shrinkage_time"] = ledoit_wolf(samples.reshape(-1, n_times))
        scale = float(np.trace(time)) / n_times
        time, space = time / scale, space * scale
    return space, time, notes


def choose_kind(shape: tuple[int, int], n_rows: int) -> str:
    """Structure that the data can support: Kronecker with a time axis, dense or low-rank for maps of voxels."""
    n_channels, n_times = shape
    if n_channels > 1 and n_times > 1:
        return "kronecker"
    return "dense" if n_channels * n_times <= DENSE_LIMIT else "low_rank"


def fit_whitener(
    signals: NDArray[np.floating],
    stimulus: Strings,
    repetitions: NDArray[np.int64],
    *,
    kind: str = "auto",
) -> Whitener:
    """Estimate the noise of a single trial from repetitions and return the map that whitens it.

    Parameters
    ----------
    signals : array of shape (n, channels, times)
        Training rows only.
    stimulus : array of str of shape (n,)
    repetitions : array of int of shape (n,)
    kind : {"auto", "unrepeated", "kronecker", "dense", "low_rank", "diagonal"}
        "auto" takes "kronecker" where there are channels and times, else "dense" up to 3,000 features and "low_rank"
        beyond. "unrepeated" does so too, but counts all that varies as noise, for rows without repetitions.

    Returns
    -------
    Whitener

    Raises
    ------
    ConfigError
        If the kind is not known.
    DataError
        If no stimulus is repeated, or nothing varies between repetitions.

    Notes
    -----
    Dense and low-rank estimates first scale each feature by its own noise, so the shrinkage target is diagonal, not
    spherical. A feature that never varies gets the weight zero.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> noise = generator.standard_normal((400, 3, 1)) * np.array([1.0, 2.0, 3.0])[None, :, None]
    >>> whitener = fit_whitener(noise, np.repeat(np.arange(100), 4).astype(str), np.ones(400, dtype=np.int64))
    >>> bool(np.abs(np.cov(whitener.apply(noise).T) - np.eye(3)).max() < 0.1)
    True
    """
    shape = (signals.shape[1], signals.shape[2])
    wanted = kind
    if kind in ("auto", UNREPEATED):
        kind = choose_kind(shape, len(signals))
    if kind not in KINDS:
        known = ", ".join(("auto", UNREPEATED, *KINDS))
        raise ConfigError(f"kind of noise covariance: got {kind!r}, expected one of {known}")
    residuals = noise_residuals(signals, stimulus, repetitions, wanted)
    if not residuals.any():
        raise DataError("signals: repetitions of every stimulus are identical, expected noise between them")
    if kind == "kronecker":
        space, time, notes = kronecker_factors(residuals)
        return Whitener(kind, shape, {"space": _inverse_root(space), "time": _inverse_root(time)}, notes)
    flat = residuals.reshape(len(residuals), -1)
    deviation = np.sqrt((flat.astype(np.float64) ** 2).mean(axis=0))
    alive = deviation > 1e-9 * deviation.max()
    gain = np.where(alive, 1 / np.where(alive, deviation, 1.0), 0.0)
    if kind == "diagonal":
        return Whitener(kind, shape, {"gain": gain})
    flat *= gain.astype(np.float32)
    if kind == "dense":
        lost = 1 if wanted == UNREPEATED else len(np.unique(stimulus))
        return _dense_whitener(flat, len(residuals) - lost, shape, gain)
    return _low_rank_whitener(flat, shape, gain)


def _dense_whitener(residuals: NDArray[np.float32], n_effective: int, shape: tuple[int, int], gain: Floats) -> Whitener:
    """Whiten symmetrically, so that each whitened feature stays close to the one it came from."""
    n_features = residuals.shape[1]
    notes: dict[str, float] = {}
    if n_effective > NONLINEAR_FROM * n_features:
        values, vectors = nonlinear_shrinkage(residuals, n_effective)
    else:
        covariance, notes["shrinkage"] = ledoit_wolf(residuals)
        values, vectors = scipy.linalg.eigh(covariance, driver="evd", check_finite=False)
    values = np.maximum(values, VARIANCE_FLOOR * values.mean())
    notes["degrees_of_freedom"] = float(n_effective)
    return Whitener("dense", shape, {"gain": gain, "root": (vectors / np.sqrt(values)) @ vectors.T}, notes)


def _low_rank_whitener(residuals: NDArray[np.float32], shape: tuple[int, int], gain: Floats) -> Whitener:
    """Whiten with a few noise components over an even floor, as probabilistic principal components does."""
    n_rows, n_features = residuals.shape
    rank = min(LOW_RANK, n_rows // 4, n_features - 1)
    basis = _leading_directions(residuals, rank)
    variances = np.asarray(((residuals @ basis.T.astype(np.float32)) ** 2).mean(axis=0), dtype=np.float64)
    total = float((residuals.astype(np.float64) ** 2).sum() / n_rows)
    floor = max((total - float(variances.sum())) / (n_features - rank), VARIANCE_FLOOR)
    # With fewer rows than features the leading variances are too large by about floor x features / rows.
    variances = np.maximum(variances - floor * n_features / n_rows, floor)
    basis_gain = 1 / np.sqrt(variances) - 1 / np.sqrt(floor)
    arrays = {"gain": gain / np.sqrt(floor), "basis": basis, "basis_gain": basis_gain * np.sqrt(floor)}
    return Whitener("low_rank", shape, arrays, {"rank": float(rank), "floor": floor})


def _leading_directions(rows: NDArray[np.float32], rank: int) -> Floats:
    """Leading right singular vectors (rank, n_features) by subspace iteration from a fixed start."""
    start = np.random.default_rng(0).standard_normal((rows.shape[1], rank + 10)).astype(np.float32)
    for _ in range(4):
        start, _ = np.linalg.qr(rows.T @ (rows @ start))
    small = rows @ start
    _, _, mixing = np.linalg.svd(small, full_matrices=False)
    return np.asarray((start @ mixing.T).T[:rank], dtype=np.float64)
