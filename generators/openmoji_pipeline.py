"""The built-in generator: draws 64 x 64 pictures in the style of OpenMoji from EfficientNet-Lite0 embeddings."""

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.utils import BaseOutput
from numpy.typing import NDArray
from torch import Tensor

from neurodecode.core.errors import ConfigError, DataError, LeakageError
from neurodecode.core.files import read_json
from neurodecode.core.kept import content_digest
from neurodecode.core.targets import TargetSpace
from neurodecode.generators.base import check_embeddings, noise_seeds, row_keys
from neurodecode.generators.patch_diffusion import PatchDiffusionTransformer

SHIPPED = "openmoji"
SPACE_FILE = "target_space.json"
SAMPLER_FILE = "sampler.json"
UNSEEN_FILE = "unseen_stimuli.json"
#: Pictures drawn at once. Batches are always of this size, so that a picture does not depend on how many there are.
BATCH = 8


class PictureOutput(BaseOutput):  # type: ignore[misc]
    """What the pipeline returns.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, height, width, 3)
    """

    images: NDArray[np.uint8]


def to_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """Turn pictures in [-1, 1] into 8-bit ones.

    Parameters
    ----------
    pictures : Tensor of shape (n, 3, height, width)

    Returns
    -------
    ndarray of uint8, shape (n, height, width, 3)

    Examples
    --------
    >>> to_pixels(torch.full((1, 3, 1, 1), 3.0)).tolist()
    [[[[255, 255, 255]]]]
    """
    scaled = (pictures.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


class OpenMojiPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Draw pictures from embeddings by a few steps from noise.

    Parameters
    ----------
    network : PatchDiffusionTransformer
        Predicts the clean picture.
    scheduler : FlowMatchEulerDiscreteScheduler
        Moves from noise to picture along straight lines.
    """

    model_cpu_offload_seq = "network"

    def __init__(self, network: PatchDiffusionTransformer, scheduler: FlowMatchEulerDiscreteScheduler) -> None:
        super().__init__()
        self.register_modules(network=network, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        embeddings: Tensor | None,
        noise: Tensor,
        num_inference_steps: int = 8,
        guidance_scale: float = 1.0,
    ) -> PictureOutput:
        """Draw one picture for every row.

        Parameters
        ----------
        embeddings : Tensor of shape (n, embedding_dim), optional
            As the stimulus encoder gave them; the network standardises them. None draws from the prior alone.
        noise : Tensor of shape (n, 3, size, size)
            Standard normal.
        num_inference_steps : int
            Steps of the sampler, each one pass of the network.
        guidance_scale : float
            1 follows the embedding as learned; above 1 exaggerates the difference to a picture without embedding, at
            twice the cost.

        Returns
        -------
        PictureOutput
        """
        n = len(noise)
        device = self.network.device
        sample = noise.to(device, torch.float32)
        guided = embeddings is not None and guidance_scale != 1.0
        if embeddings is None:
            condition = torch.zeros(n, int(self.network.config.embedding_dim), device=device)
            shown = torch.zeros(n, dtype=torch.bool, device=device)
        else:
            condition = self.network.standardise(embeddings.to(device))
            shown = torch.ones(n, dtype=torch.bool, device=device)
        if guided:
            condition = torch.cat([condition, condition])
            shown = torch.cat([shown, ~shown])
        levels = np.linspace(1.0, 1.0 / num_inference_steps, num_inference_steps)
        self.scheduler.set_timesteps(sigmas=levels.tolist(), device=device)
        for position, timestep in enumerate(self.scheduler.timesteps):
            level = self.scheduler.sigmas[position]
            inputs = torch.cat([sample, sample]) if guided else sample
            clean = self.network(inputs, level.expand(len(inputs)).to(device), condition, shown).float()
            if guided:
                followed, free = clean.chunk(2)
                clean = free + guidance_scale * (followed - free)
            # The picture lies in [-1, 1]; holding each guess there keeps guidance from burning the colours.
            clean = clean.clamp(-1, 1)
            sample = self.scheduler.step((sample - clean) / level, timestep, sample, return_dict=False)[0]
        return PictureOutput(images=to_pixels(sample))


def load_pipeline(folder: Path) -> OpenMojiPipeline:
    """Load a saved pipeline part by part, so that nothing a file names is imported or run.

    Parameters
    ----------
    folder : Path
        What ``OpenMojiPipeline.save_pretrained`` wrote.

    Returns
    -------
    OpenMojiPipeline
        In evaluation mode, float32.

    Raises
    ------
    DataError
        If a part is missing or cannot be read.
    """
    for part in (
        "network/config.json",
        "network/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ):
        if not (folder / part).is_file():
            raise DataError(f"generator folder {folder}: {part} is missing, expected a whole saved pipeline")
    try:
        network = PatchDiffusionTransformer.from_pretrained(
            folder / "network", use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
        scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise DataError(
            f"generator folder {folder}: cannot be read, expected a saved pipeline: {first_line}"
        ) from error
    pipeline = OpenMojiPipeline(network.float().eval(), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class BuiltInGenerator:
    """The generator that comes with neurodecode.

    Parameters
    ----------
    pipeline : OpenMojiPipeline
    accepts : TargetSpace
        The space of the embeddings it was trained on.
    unseen : sequence of str
        Stimuli of the built-in study that it never saw, in any form.
    steps : int
        Steps of the sampler.
    guidance : float
        See `OpenMojiPipeline`.
    """

    def __init__(
        self, pipeline: OpenMojiPipeline, accepts: TargetSpace, *, unseen: Sequence[str], steps: int, guidance: float
    ) -> None:
        if steps < 1 or guidance < 0:
            raise ConfigError(f"steps, guidance: got {steps} and {guidance}, expected at least 1 and at least 0")
        self.pipeline = pipeline
        self.accepts = accepts
        self.unseen = frozenset(unseen)
        self.steps = steps
        self.guidance = guidance

    @classmethod
    def load(cls, folder: Path | None = None) -> "BuiltInGenerator":
        """Load the shipped generator, or one exported to a folder.

        Parameters
        ----------
        folder : Path, optional
            By default the one in the package.

        Returns
        -------
        BuiltInGenerator

        Raises
        ------
        DataError
            If a file is missing or cannot be read.
        """
        if folder is None:
            with as_file(files("neurodecode.generators") / SHIPPED) as shipped:
                return cls.load(shipped)
        sampler = read_json(folder / SAMPLER_FILE)
        unseen = read_json(folder / UNSEEN_FILE)
        return cls(
            load_pipeline(folder),
            TargetSpace.from_dict(read_json(folder / SPACE_FILE)),
            unseen=[stimulus for part in unseen.values() for stimulus in part],
            steps=int(sampler["steps"]),
            guidance=float(sampler["guidance"]),
        )

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the pictures depend on beside embeddings and seed, as plain JSON types."""
        weights = {name: values.cpu().numpy() for name, values in self.pipeline.network.state_dict().items()}
        parts = {"network": self.pipeline.network.config, "scheduler": self.pipeline.scheduler.config}
        # Names with an underscore in front are notes of the library, such as where the files lay.
        plain = {part: {k: v for k, v in found.items() if k[:1] != "_"} for part, found in parts.items()}
        return {"weights": content_digest(weights), "steps": self.steps, "guidance": self.guidance, **plain}

    def require_unseen(self, stimuli: Sequence[str]) -> None:
        """Refuse stimuli that the generator may have learned by heart.

        Parameters
        ----------
        stimuli : sequence of str
            What pictures will be scored against.

        Raises
        ------
        LeakageError
            Naming the first that was not held out.
        """
        seen = [stimulus for stimulus in stimuli if stimulus not in self.unseen]
        if seen:
            raise LeakageError(
                f"stimulus {seen[0]!r} (and {len(seen) - 1} more): the generator was trained on it, "
                f"expected only the {len(self.unseen)} that it never saw"
            )

    def generate(
        self,
        embeddings: NDArray[np.float32],
        *,
        seed: int,
        n_samples: int = 1,
        steps: int | None = None,
        keys: Sequence[str] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures that follow embeddings; see `neurodecode.generators.base.Generator`.

        Rows do not see each other: the network treats each on its own, and every batch has the same size.
        """
        values = torch.from_numpy(check_embeddings(embeddings, self.accepts))
        seeds = noise_seeds(seed, row_keys(len(values), keys), n_samples)
        return self._draw(values.repeat_interleave(n_samples, dim=0), seeds, steps)

    def prior(
        self, n: int, *, seed: int, steps: int | None = None, keys: Sequence[str] | None = None
    ) -> NDArray[np.uint8]:
        """Draw pictures without any embedding: what the generator makes up by itself.

        Parameters
        ----------
        n : int
            Pictures, at least 1.
        seed, steps, keys
            As in `generate`; with the same keys they start from the same noise.

        Returns
        -------
        ndarray of uint8, shape (n, 1, height, width, 3)
        """
        if n < 1:
            raise ConfigError(f"n: got {n}, expected at least 1 picture")
        return self._draw(None, noise_seeds(seed, row_keys(n, keys), 1), steps)

    def _draw(self, embeddings: Tensor | None, seeds: Sequence[Sequence[int]], steps: int | None) -> NDArray[np.uint8]:
        """Draw one picture for each seed of each row, shape (n, n_samples, height, width, 3)."""
        wanted = self.steps if steps is None else steps
        if wanted < 1:
            raise ConfigError(f"steps: got {wanted}, expected at least 1")
        side = int(self.pipeline.network.config.image_size)
        flat = [number for row in seeds for number in row]
        drawn = []
        for start in range(0, len(flat), BATCH):
            # The last batch is filled up with its last row.
            rows = [min(start + place, len(flat) - 1) for place in range(BATCH)]
            generators = [torch.Generator().manual_seed(flat[row]) for row in rows]
            noise = torch.stack([torch.randn(3, side, side, generator=generator) for generator in generators])
            values = None if embeddings is None else embeddings[rows]
            output: Any = self.pipeline(values, noise, num_inference_steps=wanted, guidance_scale=self.guidance)
            drawn.append(output.images[: len(flat) - start])
        pictures: NDArray[np.uint8] = np.concatenate(drawn)
        return pictures.reshape(len(seeds), -1, *pictures.shape[1:])
