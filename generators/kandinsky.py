"""Adapter for Kandinsky 2.2, a pretrained generator that takes image embeddings.

Razzhigaev et al. 2023, doi:10.18653/v1/2023.emnlp-demo.25. Its decoder was trained on image embeddings of CLIP ViT-
bigG/14 (1280-d), so embeddings predicted in that space can be drawn without any further training.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import KandinskyV22Pipeline
from numpy.typing import NDArray
from transformers import CLIPVisionModelWithProjection

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.base import check_embeddings, noise_seeds, row_keys


class KandinskyGenerator:
    """Draw pictures with Kandinsky 2.2's decoder.

    Parameters
    ----------
    pipeline : KandinskyV22Pipeline
    accepts : TargetSpace
        The space of the embeddings; its width must be the one that the pipeline takes.
    empty : ndarray, shape (dim,), optional
        The embedding of an empty picture, which guidance moves away from.
    size : int
        Height and width in pixels.
    steps : int
        Steps of the sampler.
    guidance : float
        Above 1, `empty` is needed.

    Raises
    ------
    MismatchError
        If the space does not fit the pipeline.
    ConfigError
        If guidance is wanted without `empty`.
    """

    def __init__(
        self,
        pipeline: KandinskyV22Pipeline,
        accepts: TargetSpace,
        *,
        empty: NDArray[np.float32] | None = None,
        size: int = 512,
        steps: int = 50,
        guidance: float = 4.0,
    ) -> None:
        width = pipeline.unet.config.encoder_hid_dim
        if accepts.shape != (width,):
            raise MismatchError(
                f"Kandinsky decoder: takes embeddings of shape ({width},), got "
                f"the space {accepts.label} {accepts.shape}"
            )
        if guidance > 1 and empty is None:
            raise ConfigError(
                f"guidance: got {guidance} without the embedding of an empty picture, expected one or a guidance of 1 "
                "(KandinskyGenerator.from_pretrained computes it when given the prior)"
            )
        if size < 1 or steps < 1:
            raise ConfigError(f"size, steps: got {size} and {steps}, expected at least 1")
        self.pipeline = pipeline
        self.pipeline.set_progress_bar_config(disable=True)
        self.accepts = accepts
        self.empty = np.zeros(width, np.float32) if empty is None else check_embeddings(empty[None], accepts)[0]
        self.size = size
        self.steps = steps
        self.guidance = guidance

    @classmethod
    def from_pretrained(
        cls,
        decoder: str | Path,
        accepts: TargetSpace,
        *,
        prior: str | Path | None = None,
        device: str = "cpu",
        **options: Any,
    ) -> "KandinskyGenerator":
        """Load the decoder from a hub name or a local folder.

        Parameters
        ----------
        decoder : str or Path
            For example ``"kandinsky-community/kandinsky-2-2-decoder"``.
        accepts : TargetSpace
            The space of the embeddings.
        prior : str or Path, optional
            For example ``"kandinsky-community/kandinsky-2-2-prior"``; only its picture encoder is used, for the
            embedding of an empty picture.
        device : str
            Where the networks run; half precision on a GPU.
        **options
            Passed on to the class.

        Returns
        -------
        KandinskyGenerator

        Raises
        ------
        DataError
            If nothing can be loaded from there.
        """
        dtype = torch.float32 if device == "cpu" else torch.float16
        empty = None
        try:
            pipeline = KandinskyV22Pipeline.from_pretrained(str(decoder), dtype=dtype).to(device)
            if prior is not None:
                encoder = CLIPVisionModelWithProjection.from_pretrained(str(prior), subfolder="image_encoder").eval()
                side = encoder.config.image_size
                with torch.no_grad():
                    empty = encoder(torch.zeros(1, 3, side, side)).image_embeds[0].numpy()
        except (OSError, ValueError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise DataError(f"Kandinsky: cannot be loaded from {decoder} (prior {prior}): {first_line}") from error
        return cls(pipeline, accepts, empty=empty, **options)

    def generate(
        self,
        embeddings: NDArray[np.float32],
        *,
        seed: int,
        n_samples: int = 1,
        steps: int | None = None,
        keys: Sequence[str] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures that follow embeddings; see `neurodecode.generators.base.Generator`."""
        values = check_embeddings(embeddings, self.accepts)
        rows = noise_seeds(seed, row_keys(len(values), keys), n_samples)
        return np.stack(
            [
                np.stack([self._draw(value, number, self.steps if steps is None else steps) for number in numbers])
                for value, numbers in zip(values, rows, strict=True)
            ]
        )

    def _draw(self, embedding: NDArray[np.float32], seed: int, steps: int) -> NDArray[np.uint8]:
        if steps < 1:
            raise ConfigError(f"steps: got {steps}, expected at least 1")
        unet = self.pipeline.unet
        output = self.pipeline(
            image_embeds=torch.from_numpy(embedding[None]).to(unet.device, unet.dtype),
            negative_image_embeds=torch.from_numpy(self.empty[None]).to(unet.device, unet.dtype),
            height=self.size,
            width=self.size,
            num_inference_steps=steps,
            guidance_scale=self.guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        )
        pixels = np.round(np.clip(output.images[0], 0, 1) * 255).astype(np.uint8)
        return np.asarray(pixels, dtype=np.uint8)
