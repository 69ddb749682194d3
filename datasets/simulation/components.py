"""From the features of a network to the few unit-variance components that drive the simulated sources."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.datasets.simulation.settings import EVOKED


def reduce_layer(features: NDArray[np.floating], training: NDArray[np.bool_], n_components: int) -> NDArray[np.float64]:
    """Project one layer on its leading principal components, scaled to unit variance over the training pictures.

    Mean, directions and scale are computed from the training pictures alone; the other pictures are only projected. The
    sign of a component makes its largest training score positive, so that the result does not depend on the solver.

    Parameters
    ----------
    features : array of shape (n_stimuli, n_dims)
        The layer, one row a picture.
    training : boolean array of shape (n_stimuli,)
        Which rows the principal components are fitted on.
    n_components : int
        How many components to keep.

    Returns
    -------
    array of shape (n_stimuli, n_components), float64
        The scores.

    Raises
    ------
    DataError
        If the features are not finite or have fewer usable directions than components.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> features = generator.standard_normal((40, 6))
    >>> training = np.arange(40) < 30
    >>> scores = reduce_layer(features, training, 3)
    >>> bool(np.allclose(np.cov(scores[training].T, bias=True), np.eye(3)))
    True
    """
    if not np.isfinite(features).all():
        raise DataError("features: expected finite numbers, got NaN or infinity")
    fitted = np.asarray(features[training], dtype=np.float64)
    mean = fitted.mean(axis=0)
    fitted = fitted - mean
    # The Gram matrix of the pictures is far smaller than the covariance of a flattened convolution.
    values, vectors = np.linalg.eigh(fitted @ fitted.T)
    values, vectors = values[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    if len(values) < n_components or values[-1] <= 1e-10 * values[0]:
        usable = int((values > 1e-10 * values[0]).sum())
        raise DataError(f"features: expected at least {n_components} directions of variance, got {usable}")
    directions = fitted.T @ (vectors / np.sqrt(values))
    scores = np.empty((len(features), n_components))
    for start in range(0, len(features), 256):
        block = np.asarray(features[start : start + 256], dtype=np.float64) - mean
        scores[start : start + 256] = block @ directions
    scale = np.sqrt(values / training.sum())
    largest = scores[training][np.abs(scores[training]).argmax(axis=0), np.arange(n_components)]
    scaled: NDArray[np.float64] = scores / scale * np.sign(largest)
    return scaled


def design_matrix(
    features: Mapping[str, NDArray[np.floating]], training: NDArray[np.bool_], n_components: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Reduce every layer and put the constant feature of the evoked response in front.

    Parameters
    ----------
    features : mapping from layer name to array of shape (n_stimuli, n_dims)
        The layers from early to late, in that order; trailing axes are flattened.
    training : boolean array of shape (n_stimuli,)
        Which rows the principal components are fitted on.
    n_components : int
        How many components to keep of each layer.

    Returns
    -------
    design : array of shape (n_stimuli, 1 + n_layers * n_components), float64
        The features of every picture.
    layers : tuple of str
        The layer that each column belongs to; the first is `evoked`.

    Raises
    ------
    DataError
        If there is no layer or the layers do not have one row a picture.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> layers = {"early": generator.standard_normal((20, 5)), "late": generator.standard_normal((20, 7))}
    >>> design, names = design_matrix(layers, np.ones(20, dtype=bool), 2)
    >>> design.shape, names
    ((20, 5), ('evoked', 'early', 'early', 'late', 'late'))
    """
    if not features:
        raise DataError("features: expected at least one layer, got none")
    columns = [np.ones((len(training), 1))]
    names = [EVOKED]
    for layer, values in features.items():
        if layer == EVOKED:
            raise DataError(f"features: the layer name {EVOKED!r} is reserved for the response that all pictures share")
        if len(values) != len(training):
            raise DataError(f"features[{layer!r}]: expected {len(training)} rows, one a picture, got {len(values)}")
        try:
            columns.append(reduce_layer(values.reshape(len(values), -1), training, n_components))
        except DataError as error:
            raise DataError(f"layer {layer!r}: {error}") from error
        names.extend([layer] * n_components)
    return np.concatenate(columns, axis=1), tuple(names)
