"""DINOv2 through `timm`, from its hub or from a local folder; any other picture model of `timm` loads the same way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import timm.data
from torch import nn

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.stimulus.image_model import ImageModelEncoder
from neurodecode.encoders.stimulus.pictures import LibraryTransform
from neurodecode.encoders.stimulus.weights import one_line, state_sha256

DEFAULT_MODEL = "vit_base_patch14_dinov2.lvd142m"
EMBEDDING = "embedding"


def load_timm(
    model: str | None = None,
    *,
    folder: Path | str | None = None,
    size: int | None = None,
    cache_dir: str | None = None,
) -> tuple[str, nn.Module, dict[str, Any]]:
    """Load a `timm` model without its classifier, and the settings of its evaluation transform.

    Parameters
    ----------
    model : str, optional
        Name with the tag of its weights, such as ``vit_base_patch14_dinov2.lvd142m``.
    folder : Path or str, optional
        Local folder with ``config.json`` and weights, as `timm` saves it for a hub.
    size : int, optional
        Side of the input in pixels where it is not the model's own; positions are interpolated.
    cache_dir : str, optional
        Where downloads are kept.

    Returns
    -------
    name : str
        The model's name, or the folder's.
    network : torch.nn.Module
        In evaluation mode.
    settings : dict of str to Any
        Of the evaluation transform.

    Raises
    ------
    ConfigError
        If not exactly one of `model` and `folder` is given, or there is no such model.
    DataError
        If weights or configuration are missing or broken.
    """
    if (model is None) == (folder is None):
        raise ConfigError(f"model, folder: got {model!r} and {folder!r}, expected one of the two")
    if folder is not None:
        path = Path(folder)
        if not (path / "config.json").is_file():
            raise DataError(f"folder: {path} has no config.json, expected a folder that timm saved for a hub")
        source, name = f"local-dir:{path}", path.name
    else:
        source = name = str(model)
        if not timm.is_model_pretrained(source):
            raise ConfigError(f"model: timm has no weights for {source!r}, expected one of timm.list_pretrained()")
    options: dict[str, Any] = {} if size is None else {"img_size": size}
    try:
        network = timm.create_model(source, pretrained=True, num_classes=0, cache_dir=cache_dir, **options)
    except Exception as error:
        # Hub, reader and model each raise errors of their own kinds.
        raise DataError(f"timm: {source} cannot be loaded ({one_line(error)})") from error
    wanted = {} if size is None else {"input_size": (3, size, size)}
    return name, network.eval(), dict(timm.data.resolve_data_config(wanted, model=network))


class DINOv2Encoder(ImageModelEncoder):
    """DINOv2 features of pictures: the model's own vector, or any of its modules.

    Parameters
    ----------
    model : str, optional
        Name with the tag of its weights; DINOv2 ViT-B/14 by default.
    folder : Path or str, optional
        Local folder instead.
    layers : sequence of str
        ``embedding`` (for DINOv2 the class token after the last normalisation), ``norm`` (all tokens after it), or
        names of modules such as ``blocks.5``.
    pooling : str or mapping of str to str
        See `neurodecode.encoders.stimulus.base.pool`.
    size : int, optional
        Side of the input in pixels; DINOv2's own is 518, and 224 is ten times faster.
    batch_size : int
        Pictures in one forward pass.
    device : str
        Where the network runs.
    cache_dir : str, optional
        Where downloads are kept.

    Raises
    ------
    ConfigError, DataError
        See `load_timm`.

    References
    ----------
    Oquab et al., DINOv2, 2023, https://doi.org/10.48550/arXiv.2304.07193
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        folder: Path | str | None = None,
        layers: Sequence[str] = (EMBEDDING,),
        pooling: str | Mapping[str, str] = "mean",
        size: int | None = None,
        batch_size: int = 8,
        device: str = "cpu",
        cache_dir: str | None = None,
    ) -> None:
        wanted = DEFAULT_MODEL if model is None and folder is None else model
        name, network, settings = load_timm(wanted, folder=folder, size=size, cache_dir=cache_dir)
        transform = timm.data.create_transform(**settings, is_training=False)
        super().__init__(
            name=f"dinov2/{name}",
            network=network,
            layer_modules={**{name: module for name, module in network.named_modules() if name}, EMBEDDING: network},
            layers=layers,
            pooling=pooling,
            preparation=LibraryTransform(transform, settings),
            weights=state_sha256(network),
            batch_size=batch_size,
            device=device,
            prefix_tokens=int(getattr(network, "num_prefix_tokens", 0)),
        )
