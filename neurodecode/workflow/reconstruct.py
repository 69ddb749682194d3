"""Pictures of what was seen, beside everything that says how much of them came from the brain."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.evaluation.picture_metrics import FeatureFunction
from neurodecode.evaluation.pictures import Pictures
from neurodecode.generators.base import require_space
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.items import Items
from neurodecode.workflow.kept_pictures import KeptDrawer

Progress = Callable[[str], None]


class Predictor(Protocol):
    """Models of one subject and fold that predict embeddings; `FoldModels` is one."""

    @property
    def subject(self) -> str:
        """Give whose models they are."""

    @property
    def items(self) -> Items:
        """Give the parts of the fold."""

    def predict(self, signals: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
        """Predict one layer's vectors ``(n, dim)`` for signals ``(n, n_channels, n_times)``."""


@dataclass(frozen=True)
class NetworkModels:
    """A trained network alone, for pictures that need no ranking.

    Parameters
    ----------
    decode : Decode
        The network.
    subject : str
        Whose signals.
    fold : int
        The fold it was trained on.
    items : Items
        The parts of that fold.
    """

    decode: Decode
    subject: str
    fold: int
    items: Items

    def predict(self, signals: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
        """Predict one layer's vectors ``(n, dim)``."""
        return np.asarray(self.decode(self.fold, self.subject, signals)[layer], dtype=np.float32)


def true_pictures(prepared: PreparedStudy, stimuli: Sequence[str], size: int) -> NDArray[np.uint8]:
    """Read stimuli as square pictures on white, ``(n, size, size, 3)``."""
    table = prepared.stimuli
    made = np.empty((len(stimuli), size, size, 3), dtype=np.uint8)
    for row, stimulus in enumerate(stimuli):
        picture = table.picture(stimulus).convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture)
        made[row] = np.asarray(ground.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    return made


def choose_stimuli(stimuli: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw which test stimuli are reconstructed, with a seed and without looking at anything else."""
    names = sorted(set(stimuli))
    if count >= len(names):
        return names
    return sorted(str(name) for name in np.random.default_rng([seed, 7]).choice(names, count, replace=False))


def generator_layer(bank: TargetBank, generator: BuiltInGenerator) -> str:
    """Find the bank's layer that the generator accepts, or raise a MismatchError that names both spaces."""
    for name, space in bank.spaces().items():
        if space == generator.accepts:
            return name
    last = list(bank.spaces())[-1]
    require_space(generator, bank.spaces()[last])
    return last


def match_norm(vectors: NDArray[np.float32], training: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch predicted vectors, which regression shrinks, to the training vectors' mean distance from their mean.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        Predictions.
    training : ndarray of float32, shape (n_training, dim)
        Embeddings of the training stimuli.

    Returns
    -------
    ndarray of float32, shape (n, dim)
        Same directions from the training mean. A prediction at the mean stays there.

    Examples
    --------
    >>> training = np.array([[2.0, 0.0], [-2.0, 0.0]], dtype=np.float32)
    >>> match_norm(np.array([[0.0, 0.5]], dtype=np.float32), training).tolist()
    [[0.0, 2.0]]
    """
    centre = training.mean(axis=0)
    wanted = np.linalg.norm(training - centre, axis=1).mean()
    moved = vectors - centre
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (
        centre + moved * np.where(lengths > 0, wanted / np.maximum(lengths, 1e-12), 0.0)
    ).astype(np.float32)
    return scaled


def reconstruct_subject(
    prepared: PreparedStudy,
    bank: TargetBank,
    fitted: Predictor,
    generator: BuiltInGenerator,
    *,
    stimuli: Sequence[str],
    seed: int,
    n_samples: int,
    shuffled: Predictor | None = None,
    keep: Path | None = None,
    progress: Progress = lambda text: None,
) -> Pictures:
    """Draw the test stimuli of one subject under every condition.

    Parameters
    ----------
    prepared : PreparedStudy
        The study.
    bank : TargetBank
        Its targets; one layer lies in the generator's space.
    fitted : Predictor
        The subject's models.
    generator : BuiltInGenerator
        Never saw any of `stimuli`; checked.
    stimuli : sequence of str
        What is drawn.
    seed : int
        Of the generator's noise and of the controls' draws.
    n_samples : int
        Pictures for each stimulus and condition; all are kept.
    shuffled : Predictor, optional
        The models that were trained on shuffled pairs.
    keep : Path, optional
        Folder in which drawn pictures are kept; they are taken from there as long as nothing has changed.
    progress : callable
        Told the condition that begins.

    Returns
    -------
    Pictures
        The true pictures and one array a condition.
    """
    layer = generator_layer(bank, generator)
    generator.require_unseen(stimuli)
    test, items = fitted.items.test, fitted.items
    row_of = {str(name): row for row, name in enumerate(test.stimulus)}
    missing = [name for name in stimuli if name not in row_of]
    if missing:
        raise DataError(f"{fitted.subject}: stimulus {missing[0]!r} was not tested")
    rows = np.array([row_of[name] for name in stimuli])
    known = sorted(set(items.train.stimulus.tolist()))
    training = bank.rows(known, [layer])[layer]
    random = np.random.default_rng([seed, 8])
    averaged = items.train.averaged()
    mean_brain = np.broadcast_to(averaged.signals.mean(axis=0), (len(rows), *averaged.shape))
    # As strong as the responses that are decoded: their spread over time and channel, but nothing else of them.
    noise = random.normal(averaged.signals.mean(axis=0), averaged.signals.std(axis=0), (len(rows), *averaged.shape))
    inputs = {
        "reconstruction": (fitted, test.signals[rows]),
        "shuffled_brain": (shuffled, test.signals[rows]),
        "mean_brain": (fitted, np.ascontiguousarray(mean_brain, dtype=np.float32)),
        "noise_input": (fitted, noise.astype(np.float32)),
    }
    embeddings = {"true_embedding": bank.rows(list(stimuli), [layer])[layer]}
    for name, (models, signals) in inputs.items():
        if models is not None:
            embeddings[name] = match_norm(models.predict(signals, layer), training)
    drawer = KeptDrawer(generator, keep, seed=seed, keys=stimuli)
    conditions = {}
    for name, vectors in embeddings.items():
        progress(name.replace("_", " "))
        conditions[name] = drawer.draw(name, vectors, n_samples)
    progress("prior only")
    conditions["prior_only"] = drawer.draw("prior_only", None, 1)
    size = conditions["prior_only"].shape[2]
    nearest = [known[place] for place in nearest_rows(embeddings["reconstruction"], training)]
    drawn = [known[place] for place in random.integers(len(known), size=len(rows))]
    conditions["nearest_training"] = true_pictures(prepared, nearest, size)[:, None]
    conditions["random_picture"] = true_pictures(prepared, drawn, size)[:, None]
    table = prepared.stimuli
    names = [str(table.get(name)["text"]) or name for name in stimuli]
    return Pictures(fitted.subject, list(stimuli), true_pictures(prepared, stimuli, size), conditions, names)


def nearest_rows(vectors: NDArray[np.float32], training: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the training vector of highest correlation with each prediction, both measured from the training mean."""
    centre = training.mean(axis=0)
    units = [
        (values - centre) / np.linalg.norm(values - centre, axis=1, keepdims=True) for values in (vectors, training)
    ]
    return np.asarray((units[0] @ units[1].T).argmax(axis=1), dtype=np.int64)


class PictureEncoder(Protocol):
    """A frozen network that looks at pictures."""

    def encode(self, stimuli: Sequence[Any]) -> Mapping[str, NDArray[np.float32]]:
        """Compute the features of each layer, one row a picture."""


def picture_features() -> dict[str, FeatureFunction]:
    """Give the offline features of two-way identification: AlexNet's 2nd and 5th convolution, EfficientNet-Lite0.

    AlexNet sees pictures at 256 pixels as the field's metric does; its maps are averaged over a grid of 16 x 16, which
    keeps their layout at a fraction of their size. It also drives the simulated brains, which makes its
    scores on simulated studies friendlier than EfficientNet's.
    """

    def build_alexnet() -> PictureEncoder:
        from neurodecode.encoders.stimulus.alexnet import AlexNetEncoder

        return AlexNetEncoder(layers=("conv2", "conv5"), pooling="grid16x16", size=256)

    def build_efficientnet() -> PictureEncoder:
        from neurodecode.encoders.stimulus.efficientnet import EfficientNetLite0Encoder

        return EfficientNetLite0Encoder(layers=("last",), pooling="mean")

    alexnet, efficientnet = LastFeatures(build_alexnet), LastFeatures(build_efficientnet)
    return {
        "alexnet2": lambda pictures: alexnet(pictures)["conv2"],
        "alexnet5": lambda pictures: alexnet(pictures)["conv5"],
        "efficientnet": lambda pictures: efficientnet(pictures)["last"],
    }


class LastFeatures:
    """Run an encoder once for all of its layers: pictures that were asked for last are not computed again.

    Parameters
    ----------
    build : callable
        Gives the frozen network; called when the first picture is asked for.
    """

    def __init__(self, build: Callable[[], PictureEncoder]) -> None:
        self._build = build
        self._encoder: PictureEncoder | None = None
        self._digest = b""
        self._rows: dict[str, NDArray[np.float32]] = {}

    def __call__(self, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Compute all layers of uint8 pictures ``(n, height, width, 3)``, one flat row a picture."""
        digest = hashlib.sha256(str(pictures.shape).encode() + np.ascontiguousarray(pictures).tobytes()).digest()
        if digest != self._digest:
            if self._encoder is None:
                self._encoder = self._build()
            found = self._encoder.encode([Image.fromarray(picture) for picture in pictures])
            self._rows = {name: rows.reshape(len(rows), -1) for name, rows in found.items()}
            self._digest = digest
        return self._rows
