"""Pairs of picture and embedding that the built-in generator learns from.

Pairs are made once, shard by shard, and kept in a folder whose name is the fingerprint of everything they depend on. An
interrupted run goes on where it stopped.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import atomic_path, fingerprint, load_arrays, write_json
from neurodecode.core.progress import progress_bar
from neurodecode.datasets.openmoji import render, stimuli
from neurodecode.datasets.openmoji_table import TWIN_COSINE, candidates
from neurodecode.encoders.stimulus.efficientnet import EfficientNetLite0Encoder
from neurodecode.training.picture_augmentation import (
    augmented_picture,
    extra_drawings,
    far_from,
    render_drawing,
    wheel_drawings,
)

# Raised whenever the recipe of the pairs changes, so that old folders are not taken for new ones.
RECIPE = 1
EMBEDDED_SIDE = 224
SHARD = 500
_Rows = NDArray[np.float32]
Embed = Callable[[Sequence[Image.Image]], _Rows]


def last_layer_embedder() -> tuple[Embed, dict[str, Any]]:
    """Load EfficientNet-Lite0 as the function that the generator's embeddings come from.

    Returns
    -------
    embed : callable
        Pictures to float32 ``(n, 1280)``.
    description : dict
        Fingerprint of the encoder.
    """
    encoder = EfficientNetLite0Encoder(layers=("last",))

    def embed(pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        return encoder.encode(pictures)["last"]

    return embed, encoder.fingerprint()


def small_pictures(pictures: Sequence[Image.Image], size: int) -> NDArray[np.uint8]:
    """Reduce pictures to the generator's size.

    Parameters
    ----------
    pictures : sequence of PIL.Image.Image
    size : int
        Side in pixels.

    Returns
    -------
    ndarray of uint8, shape (n, size, size, 3)

    Examples
    --------
    >>> small_pictures([Image.new("RGB", (8, 8), "white")], 4).shape
    (1, 4, 4, 3)
    """
    return np.stack([np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS)) for picture in pictures])


def training_drawings(embed: Embed) -> tuple[list[str], list[str]]:
    """List the drawings that may be learned from.

    Parameters
    ----------
    embed : callable
        Pictures to embeddings.

    Returns
    -------
    study : list of str
        The study's training stimuli.
    extra : list of str
        Other drawings of the font: none has a code point of a held-out drawing, none looks like one (cosine of centred
        embeddings below the threshold that makes two drawings one concept).
    """
    table = stimuli()
    study = table["stimulus"][table["split"] == "train"].tolist()
    everything = candidates()
    held_out = sorted(set(everything) - set(study))
    extra = extra_drawings(wheel_drawings(), set(study), set(everything))
    with progress_bar("choosing drawings", total=len(study) + len(held_out) + len(extra)) as advance:

        def embedded(names: Sequence[str], draw: Callable[[str], Image.Image | None]) -> tuple[list[str], _Rows]:
            kept: list[str] = []
            rows = []
            for start in range(0, len(names), 32):
                drawn = [(name, draw(name)) for name in names[start : start + 32]]
                pictures = {name: picture for name, picture in drawn if picture is not None}
                if pictures:
                    kept += pictures
                    rows.append(embed(list(pictures.values())))
                advance(len(drawn))
            return kept, np.concatenate(rows)

        centre = embedded(study, render)[1].mean(axis=0)
        names, embeddings = embedded(extra, lambda name: render_drawing(name, EMBEDDED_SIDE))
        keep = far_from(embeddings, embedded(held_out, render)[1], centre, TWIN_COSINE)
    return study, [name for name, far in zip(names, keep, strict=True) if far]


def write_pairs(folder: Path, *, n_pictures: int, image_size: int, seed: int) -> None:
    """Make the training and validation pairs that are still missing in a folder.

    Parameters
    ----------
    folder : Path
        Where the shards are written, ``train-00000.npz`` and so on and ``val.npz``, each with `pictures` (uint8) and
        `embeddings` (float32).
    n_pictures : int
        Number of training pictures, changed ones included; a multiple of 500.
    image_size : int
        Side of the pictures in pixels.
    seed : int
        Of the random changes.

    Raises
    ------
    ConfigError
        If the number of pictures is not a positive multiple of 500.
    """
    if n_pictures < SHARD or n_pictures % SHARD:
        raise ConfigError(f"n_pictures: got {n_pictures}, expected a positive multiple of {SHARD}")
    if (folder / "complete.json").exists():
        return
    embed, _ = last_layer_embedder()
    study, extra = training_drawings(embed)
    names = study + extra

    @lru_cache(maxsize=len(names))
    def draw(name: str) -> Image.Image:
        picture = render_drawing(name, EMBEDDED_SIDE)
        if picture is None:
            raise DataError(f"drawing {name}: the font has none, expected one")
        return picture

    def write(path: Path, pictures: Sequence[Image.Image]) -> None:
        with atomic_path(path) as temporary:
            np.savez(temporary, pictures=small_pictures(pictures, image_size), embeddings=embed(pictures))

    table = stimuli()
    if not (folder / "val.npz").exists():
        write(folder / "val.npz", [render(name) for name in table["stimulus"][table["split"] == "val"]])
    # Shuffled once, so that even the first shards hold plain and changed pictures alike.
    order = np.random.default_rng(seed).permutation(n_pictures)
    with progress_bar("making pictures and embeddings", total=n_pictures) as advance:
        for shard in range(n_pictures // SHARD):
            path = folder / f"train-{shard:05d}.npz"
            if not path.exists():
                indices = order[shard * SHARD : (shard + 1) * SHARD]
                write(path, [augmented_picture(int(index), seed, names, len(study), draw) for index in indices])
            advance(SHARD)
    write_json(folder / "complete.json", {"n_pictures": n_pictures, "study": study, "extra": extra})


class PairDataset(Dataset[dict[str, Tensor]]):
    """Pictures with their embeddings, held in memory as they are on disk.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, size, size, 3)
    embeddings : ndarray of float32, shape (n, dim)

    Examples
    --------
    >>> pairs = PairDataset(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 5), np.float32))
    >>> tuple(pairs[0]["picture"].shape), float(pairs[0]["picture"].max())
    ((3, 4, 4), -1.0)
    """

    def __init__(self, pictures: NDArray[np.uint8], embeddings: NDArray[np.float32]) -> None:
        if len(pictures) != len(embeddings):
            raise DataError(f"pairs: got {len(pictures)} pictures and {len(embeddings)} embeddings, expected as many")
        self.pictures = pictures
        self.embeddings = embeddings

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Give one pair: `picture` in [-1, 1], ``(3, size, size)``, and `embedding`, ``(dim,)``."""
        picture = torch.from_numpy(self.pictures[index]).permute(2, 0, 1).float() / 127.5 - 1
        return {"picture": picture, "embedding": torch.from_numpy(self.embeddings[index])}


class GenerateDataModule(lightning.LightningDataModule):
    """Training and validation pairs of the built-in study.

    Parameters
    ----------
    cache : str
        Folder in which the pairs are kept.
    n_pictures : int
        Training pictures, changed ones included; a multiple of 500.
    image_size : int
        Side in pixels.
    batch_size : int
        Pairs a step.
    seed : int
        Of the random changes of pictures.
    """

    def __init__(
        self,
        cache: str = "outputs/cache/generate",
        n_pictures: int = 16000,
        image_size: int = 64,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.n_pictures = n_pictures
        self.image_size = image_size
        self.batch_size = batch_size
        self.seed = seed
        self.cache = Path(cache)
        self.train_pairs: PairDataset | None = None
        self.val_pairs: PairDataset | None = None

    @property
    def folder(self) -> Path:
        """Where the pairs of these settings are kept."""
        table = stimuli()
        settings = [
            RECIPE,
            self.n_pictures,
            self.image_size,
            self.seed,
            table["stimulus"].tolist(),
            table["split"].tolist(),
        ]
        return self.cache / fingerprint([*settings, last_layer_embedder()[1]])

    def prepare_data(self) -> None:
        """Make the pairs that are still missing."""
        write_pairs(self.folder, n_pictures=self.n_pictures, image_size=self.image_size, seed=self.seed)

    def setup(self, stage: str | None = None) -> None:
        """Read the pairs into memory."""
        if self.train_pairs is not None:
            return
        folder = self.folder
        shards = [load_arrays(folder / f"train-{shard:05d}.npz") for shard in range(self.n_pictures // SHARD)]
        self.train_pairs = PairDataset(
            np.concatenate([shard["pictures"] for shard in shards]),
            np.concatenate([shard["embeddings"] for shard in shards]),
        )
        held_out = load_arrays(folder / "val.npz")
        self.val_pairs = PairDataset(held_out["pictures"], held_out["embeddings"])

    def embedding_statistics(self) -> tuple[Tensor, Tensor]:
        """Compute mean and standard deviation of the training embeddings, each ``(dim,)``, the latter at least 1e-3."""
        if self.train_pairs is None:
            raise ConfigError("generate data: got no pairs, expected `setup` to be called first")
        values = torch.from_numpy(self.train_pairs.embeddings)
        return values.mean(dim=0), values.std(dim=0).clamp_min(1e-3)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Shuffle the training pairs."""
        assert self.train_pairs is not None
        return DataLoader(self.train_pairs, batch_size=self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Give the validation pairs in order."""
        assert self.val_pairs is not None
        return DataLoader(self.val_pairs, batch_size=self.batch_size)
