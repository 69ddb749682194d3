"""OpenCLIP picture and text models through `open_clip`, from its hub or from a local folder.

Two well-known traps are errors here. Weights trained with the QuickGELU activation run silently, and wrongly, in a
model without it. And weights from a bare file run with default preprocessing, whatever they were trained with: a local
model needs the ``open_clip_config.json`` of its own folder.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import nn

from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.files import read_json
from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.pictures import LibraryTransform
from neurodecode.encoders.stimulus.text_model import TextModelEncoder, Tokens
from neurodecode.encoders.stimulus.weights import one_line, state_sha256

CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = ("open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin", "pytorch_model.bin")
NEEDED_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
HUB_PREFIX = "hf-hub:"
EMBEDDING = "embedding"


@dataclass(frozen=True)
class LoadedCLIP:
    """A model with all that its features depend on.

    Parameters
    ----------
    name : str
        ``open_clip/`` and the model's name, tag or folder.
    network : torch.nn.Module
        Both towers.
    preprocessing : mapping of str to Any
        The settings of the evaluation transform.
    tokenizer_source : str
        What `open_clip.get_tokenizer` takes.
    """

    name: str
    network: nn.Module
    preprocessing: Mapping[str, Any]
    tokenizer_source: str


def check_quick_gelu(model_configuration: Mapping[str, Any], weights_quick_gelu: bool, *, what: str) -> None:
    """Refuse weights whose activation is not the model's.

    Parameters
    ----------
    model_configuration : mapping of str to Any
        The model's configuration.
    weights_quick_gelu : bool
        Whether the weights were trained with QuickGELU.
    what : str
        Model and weights, for the message.

    Raises
    ------
    MismatchError
        If one has QuickGELU and the other has not.

    Examples
    --------
    >>> check_quick_gelu({"quick_gelu": True}, True, what="ViT-B-32-quickgelu with openai")
    """
    model_quick_gelu = bool(model_configuration.get("quick_gelu", False))
    if model_quick_gelu != weights_quick_gelu:
        raise MismatchError(
            f"open_clip: {what} mixes activations: the model has quick_gelu={model_quick_gelu} and the weights were "
            f"trained with quick_gelu={weights_quick_gelu}, expected a pair that agrees (see the -quickgelu models)"
        )


def load_open_clip(
    model: str | None = None,
    pretrained: str | None = None,
    *,
    folder: Path | str | None = None,
    cache_dir: str | None = None,
) -> LoadedCLIP:
    """Load an OpenCLIP model with its own preprocessing.

    Parameters
    ----------
    model : str, optional
        Name of an architecture with `pretrained`, or ``hf-hub:organisation/name`` alone. With `folder` it is what the
        folder's model must agree with.
    pretrained : str, optional
        Tag of published weights.
    folder : Path or str, optional
        Local folder with ``open_clip_config.json`` and weights, or a weight file in such a folder.
    cache_dir : str, optional
        Where downloads are kept.

    Returns
    -------
    LoadedCLIP
        In evaluation mode.

    Raises
    ------
    ConfigError
        If the arguments name no model, or more than one.
    DataError
        If weights or preprocessing are missing or broken.
    MismatchError
        If weights and model disagree about QuickGELU.
    """
    if folder is not None:
        if pretrained is not None:
            raise ConfigError(f"pretrained: got {pretrained!r} beside folder {folder}, expected one of the two")
        return _load_folder(Path(folder), model)
    if model is not None and model.startswith(HUB_PREFIX):
        if pretrained is not None:
            raise ConfigError(f"pretrained: got {pretrained!r} beside {model}, which brings its own weights")
        network = _create(model, cache_dir=cache_dir, require_pretrained=True)
        return LoadedCLIP(f"open_clip/{model.removeprefix(HUB_PREFIX)}", network, _settings(network), model)
    if model is None or pretrained is None:
        raise ConfigError("model, pretrained, folder: expected a folder, or a model with the tag of its weights")
    configuration = open_clip.get_model_config(model)
    if configuration is None:
        raise ConfigError(f"model: open_clip has no {model!r}, expected one of open_clip.list_models()")
    tag = open_clip.get_pretrained_cfg(model, pretrained)
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise ConfigError(f"pretrained: got {pretrained!r} for {model}, expected one of {tags}")
    check_quick_gelu(configuration, bool(tag.get("quick_gelu", False)), what=f"{model} with {pretrained}")
    network = _create(model, pretrained=pretrained, cache_dir=cache_dir, require_pretrained=True)
    return LoadedCLIP(f"open_clip/{model}/{pretrained}", network, _settings(network), model)


def _load_folder(path: Path, model: str | None) -> LoadedCLIP:
    folder = path.parent if path.is_file() else path
    if not folder.is_dir():
        raise DataError(f"folder: {path} does not exist, expected a folder with {CONFIG_FILE} and weights")
    if not (folder / CONFIG_FILE).is_file():
        raise DataError(f"folder: {folder} has no {CONFIG_FILE}, so the preprocessing of these weights is not known")
    values = read_json(folder / CONFIG_FILE)
    configuration = values.get("model_cfg") if isinstance(values, dict) else None
    preprocessing = values.get("preprocess_cfg") if isinstance(values, dict) else None
    if not isinstance(configuration, dict) or not isinstance(preprocessing, dict):
        raise DataError(f"{folder / CONFIG_FILE}: expected an object with model_cfg and preprocess_cfg")
    missing = [key for key in NEEDED_PREPROCESSING if key not in preprocessing]
    if missing:
        raise DataError(
            f"{folder / CONFIG_FILE}: preprocess_cfg has no {missing[0]!r}, expected the one of the training"
        )
    if model is not None:
        published = open_clip.get_model_config(model)
        if published is None:
            raise ConfigError(f"model: open_clip has no {model!r}, expected one of open_clip.list_models()")
        what = f"{model} with {folder}"
        check_quick_gelu(published, bool(configuration.get("quick_gelu", False)), what=what)
    found = [path] if path.is_file() else [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not found:
        raise DataError(f"folder: {folder} has no weights, expected one of {', '.join(WEIGHT_FILES)}")
    source = f"local-dir:{folder}"
    network = _create(source, load_weights=False, pretrained_text=False)
    try:
        open_clip.load_checkpoint(network, str(found[0]), strict=True, weights_only=True)
    except Exception as error:
        # Broken and foreign files raise whatever their reader raises.
        raise DataError(f"weights: {found[0]} does not fit {folder / CONFIG_FILE} ({one_line(error)})") from error
    return LoadedCLIP(f"open_clip/{folder.name}", network, _settings(network), source)


def _create(source: str, **options: Any) -> nn.Module:
    try:
        with _without_log():
            network = open_clip.create_model(source, precision="fp32", device="cpu", weights_only=True, **options)
    except Exception as error:
        raise DataError(f"open_clip: {source} cannot be loaded ({one_line(error)})") from error
    if not isinstance(network, nn.Module):
        raise DataError(f"open_clip: {source} gave {type(network).__name__}, expected a network")
    return network.eval()


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    # open_clip warns that a model is random when its weights are about to be loaded in a second step.
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)


def _settings(network: nn.Module) -> dict[str, Any]:
    settings = open_clip.get_model_preprocess_cfg(network)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


class OpenCLIPEncoder(ImageModelEncoder):
    """OpenCLIP features of pictures: the joint embedding, or any module of the picture tower.

    Parameters
    ----------
    model, pretrained, folder, cache_dir
        See `load_open_clip`.
    layers : sequence of str
        ``embedding``, or names of modules of the picture tower such as ``transformer.resblocks.11``.
    pooling : str or mapping of str to str
        See `neurodecode.encoders.stimulus.base.pool`.
    normalise : bool
        Scale the embedding to unit length.
    batch_size : int
        Pictures in one forward pass.
    device : str
        Where the network runs.

    Raises
    ------
    ConfigError, DataError, MismatchError
        See `load_open_clip`.

    References
    ----------
    Cherti et al., CVPR 2023, https://doi.org/10.1109/CVPR52729.2023.00276
    """

    def __init__(
        self,
        model: str | None = None,
        pretrained: str | None = None,
        *,
        folder: Path | str | None = None,
        layers: Sequence[str] = (EMBEDDING,),
        pooling: str | Mapping[str, str] = "mean",
        normalise: bool = False,
        batch_size: int = 16,
        device: str = "cpu",
        cache_dir: str | None = None,
    ) -> None:
        loaded = load_open_clip(model, pretrained, folder=folder, cache_dir=cache_dir)
        tower: nn.Module = loaded.network.visual  # type: ignore[assignment]
        trunk = getattr(tower, "trunk", None)
        prefix = getattr(trunk, "num_prefix_tokens", 0) if trunk is not None else int(hasattr(tower, "class_embedding"))
        transform = image_transform_v2(PreprocessCfg(**loaded.preprocessing), is_train=False)
        super().__init__(
            name=loaded.name,
            network=tower,
            layer_modules={**{name: module for name, module in tower.named_modules() if name}, EMBEDDING: tower},
            layers=layers,
            pooling=pooling,
            preparation=LibraryTransform(transform, loaded.preprocessing),
            weights=state_sha256(tower),
            batch_size=batch_size,
            device=device,
            prefix_tokens=prefix,
            sequence_first=not getattr(getattr(tower, "transformer", None), "batch_first", True),
            normalised=(EMBEDDING,) if normalise else (),
        )


class OpenCLIPTextEncoder(TextModelEncoder):
    """OpenCLIP features of texts: the joint embedding, or a block of the text tower.

    Parameters
    ----------
    model, pretrained, folder, cache_dir
        See `load_open_clip`.
    layers : sequence of str
        ``embedding`` or ``block1``, ``block2``, ...; the blocks only where the text ends with the highest token
        number, as in all models with CLIP's own tokenizer.
    pooling : str or mapping of str to str
        See `neurodecode.encoders.stimulus.text_model.pool_text`.
    normalise : bool
        Scale the embedding to unit length.
    batch_size : int
        Texts in one forward pass.
    device : str
        Where the network runs.

    Raises
    ------
    ConfigError, DataError, MismatchError
        See `load_open_clip`.
    """

    def __init__(
        self,
        model: str | None = None,
        pretrained: str | None = None,
        *,
        folder: Path | str | None = None,
        layers: Sequence[str] = (EMBEDDING,),
        pooling: str | Mapping[str, str] = "mean",
        normalise: bool = False,
        batch_size: int = 32,
        device: str = "cpu",
        cache_dir: str | None = None,
    ) -> None:
        loaded = load_open_clip(model, pretrained, folder=folder, cache_dir=cache_dir)
        self._normalise = normalise
        network: Any = loaded.network
        self._clip = network
        self._tokenizer: Any = open_clip.get_tokenizer(loaded.tokenizer_source)
        text = network.text if hasattr(network, "text") else network
        pool_type = getattr(network, "text_pool_type", None) or getattr(text, "pool_type", "")
        transformer = getattr(text, "transformer", None)
        blocks = list(getattr(transformer, "resblocks", ())) if pool_type == "argmax" else []
        super().__init__(
            name=f"{loaded.name}/text",
            network=network,
            tokenise=self._numbers,
            run=self._embedding,
            layer_modules={f"block{number}": block for number, block in enumerate(blocks, start=1)},
            final=EMBEDDING,
            layers=layers,
            pooling=pooling,
            preprocessing={"tokenizer": type(self._tokenizer).__name__, "context": int(self._tokenizer.context_length)},
            weights=state_sha256(network),
            normalised=normalise,
            class_token=False,
            fixed_length=True,
            sequence_first=not getattr(transformer, "batch_first", True),
            batch_size=batch_size,
            device=device,
        )

    def _numbers(self, texts: list[str]) -> Tokens:
        numbers: torch.Tensor = self._tokenizer(texts)
        # The end token has the highest number of all; what follows it is padding.
        ends = numbers.argmax(dim=1, keepdim=True)
        return numbers, torch.arange(numbers.shape[1])[None, :] <= ends

    def _embedding(self, numbers: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self._clip.encode_text(numbers, normalize=self._normalise)
        return vectors
