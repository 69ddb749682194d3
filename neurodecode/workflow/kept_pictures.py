"""Drawn pictures and their comparison with the true ones, kept in the folder of a study's models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.kept import computed_by, content_digest, kept_arrays
from neurodecode.evaluation.picture_metrics import FeatureFunction
from neurodecode.evaluation.reconstruction import Compare, comparing
from neurodecode.generators.openmoji_pipeline import BuiltInGenerator

DRAWING = (["neurodecode.generators"], ["numpy", "torch", "diffusers"])
#: The networks' weights are part of the source: their digests stand there and are checked when they are loaded.
COMPARING = (
    [
        "neurodecode.encoders.stimulus",
        "neurodecode.evaluation.picture_metrics",
        "neurodecode.evaluation.reconstruction",
        "neurodecode.workflow.reconstruct",
    ],
    ["numpy", "torch", "pillow"],
)


def pictures_folder(keep: Path, subject: str, fold: int) -> Path:
    """Give the folder of one subject's pictures, under the folder of a study's models."""
    return keep / f"fold{fold}" / "pictures" / subject


class KeptDrawer:
    """A generator whose pictures are kept, each condition in a file.

    Parameters
    ----------
    generator : BuiltInGenerator
        What draws.
    folder : Path, optional
        Where; without it everything is drawn.
    seed : int
        Of the noise.
    keys : sequence of str
        A name for each row, which with the seed decides its noise.
    """

    def __init__(self, generator: BuiltInGenerator, folder: Path | None, *, seed: int, keys: Sequence[str]) -> None:
        self.generator, self.folder, self.seed, self.keys = generator, folder, seed, list(keys)
        self._by = None if folder is None else {"by": computed_by(*DRAWING), "generator": generator.fingerprint()}

    def draw(self, name: str, embeddings: NDArray[np.float32] | None, n_samples: int) -> NDArray[np.uint8]:
        """Draw pictures for each row of `embeddings`, or from the prior alone, under the name of a condition."""

        def make() -> dict[str, NDArray[np.uint8]]:
            if embeddings is None:
                return {"pictures": self.generator.prior(len(self.keys), seed=self.seed, keys=self.keys)}
            drawn = self.generator.generate(embeddings, seed=self.seed, n_samples=n_samples, keys=self.keys)
            return {"pictures": drawn}

        if self.folder is None:
            return make()["pictures"]
        parts = {"embeddings": embeddings, "n_samples": n_samples, "seed": self.seed, "keys": self.keys}
        return kept_arrays(self.folder / f"{name}.npz", content_digest({**parts, "of": self._by}), make)["pictures"]


def kept_comparison(features: Mapping[str, FeatureFunction], keep: Path, fold: int) -> Compare:
    """Compare pictures as `neurodecode.evaluation.reconstruction.comparing` does, and keep the tables.

    Parameters
    ----------
    features : mapping from name to callable
        Those of `neurodecode.workflow.reconstruct.picture_features`: what they compute is known by the source alone.
    keep : Path
        Folder of the study's models.
    fold : int
        Which fold the pictures are of.

    Returns
    -------
    callable
        The networks run only for pictures that were not compared before.
    """
    compare, by = comparing(features), computed_by(*COMPARING)

    def kept(
        subject: str, condition: str, made: NDArray[np.uint8], true: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float64]]:
        key = content_digest({"made": made, "true": true, "features": list(features), "by": by})
        path = pictures_folder(keep, subject, fold) / f"{condition}_compared.npz"
        return kept_arrays(path, key, lambda: compare(subject, condition, made, true))

    return kept
