"""wav2vec 2.0 through `transformers`, from its hub or from a local folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.stimulus.audio import SAMPLING_RATE
from neurodecode.encoders.stimulus.speech_model import SpeechModelEncoder
from neurodecode.encoders.stimulus.weights import one_line, state_sha256

DEFAULT_MODEL = "facebook/wav2vec2-large-xlsr-53"


class Wav2Vec2Encoder(SpeechModelEncoder):
    """States of a wav2vec 2.0 network as series.

    Published systems take the same network and other layers: brainmagick's code averages the states 14 to 18
    (``mean14to18``, the default), its paper says the last four (``last4``), others the states 21 to 24
    (``mean21to24``). Whatever is taken is the layer's name, which targets and checkpoints keep.

    Parameters
    ----------
    layers : sequence of str
        Such as ``mean14to18``, ``last4`` or ``state12``.
    model : str, optional
        Name on the hub, by default facebook/wav2vec2-large-xlsr-53.
    folder : Path or str, optional
        A local folder with ``config.json`` and weights instead.
    rate : float
        Frames per second; the network's own is about 50.
    device : str
        Where the network runs.

    Raises
    ------
    ConfigError
        If both `model` and `folder` are given.
    DataError
        If weights or configuration are missing or broken.

    References
    ----------
    Baevski et al., wav2vec 2.0, NeurIPS 2020, https://doi.org/10.48550/arXiv.2006.11477
    Defossez et al., Decoding speech perception from non-invasive brain recordings, 2023,
    https://doi.org/10.1038/s42256-023-00714-5
    """

    def __init__(
        self,
        layers: Sequence[str] = ("mean14to18",),
        *,
        model: str | None = None,
        folder: Path | str | None = None,
        rate: float = 50.0,
        device: str = "cpu",
    ) -> None:
        name, network, normalise = load_wav2vec2(model, folder=folder)
        configuration: Any = network.config
        stride, reach = _geometry(list(configuration.conv_kernel), list(configuration.conv_stride))

        def run(wave: torch.Tensor) -> list[torch.Tensor]:
            sound = wave
            if normalise:  # as the model's feature extractor does
                sound = (sound - sound.mean()) / torch.sqrt(sound.var(unbiased=False) + 1e-7)
            return [state[0] for state in network(sound[None], output_hidden_states=True).hidden_states]

        super().__init__(
            name=name,
            network=network,
            run=run,
            n_layers=int(configuration.num_hidden_layers) + 1,
            native_rate=SAMPLING_RATE / stride,
            first=reach / 2 / SAMPLING_RATE,
            layers=layers,
            rate=rate,
            weights=state_sha256(network),
            preprocessing={"sampling_rate": SAMPLING_RATE, "normalised": normalise},
            shortest=reach,
            device=device,
        )


def load_wav2vec2(model: str | None = None, *, folder: Path | str | None = None) -> tuple[str, nn.Module, bool]:
    """Load a wav2vec 2.0 network.

    Parameters
    ----------
    model : str, optional
        Name on the hub; `DEFAULT_MODEL` where no folder is given either.
    folder : Path or str, optional
        A local folder instead.

    Returns
    -------
    name : str
        ``wav2vec2`` and the model's or the folder's name.
    network : torch.nn.Module
        In evaluation mode.
    normalise : bool
        Whether the network wants sound of zero mean and unit variance.

    Raises
    ------
    ConfigError
        If both are given.
    DataError
        If weights or configuration are missing or broken.
    """
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    if model is not None and folder is not None:
        raise ConfigError(f"model, folder: got {model!r} and {folder!r}, expected one of the two")
    if folder is not None and not (Path(folder) / "config.json").is_file():
        raise DataError(f"weights: {Path(folder) / 'config.json'} does not exist, expected a folder of wav2vec 2.0")
    source = str(folder) if folder is not None else model or DEFAULT_MODEL
    try:
        network = Wav2Vec2Model.from_pretrained(source)
        normalise = bool(Wav2Vec2FeatureExtractor.from_pretrained(source).do_normalize)
    except Exception as error:
        # The hub and the readers raise a dozen kinds of errors; all mean the same to the user.
        raise DataError(f"weights: {source} cannot be loaded as wav2vec 2.0 ({one_line(error)})") from error
    return f"wav2vec2-{Path(source).name}", network.eval(), normalise


def _geometry(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Compute the step and the reach (samples) of the convolutions, 320 and 400 for the published models."""
    step, reach = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        reach += (kernel - 1) * step
        step *= stride
    return step, reach
