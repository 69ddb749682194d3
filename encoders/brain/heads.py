"""Heads: from the latent to every named target."""

from collections.abc import Mapping
from math import prod

from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import check_dropout
from neurodecode.encoders.brain.pointwise import PointwiseMLP

Shape = tuple[int, ...]

#: The head that is compared with what a learned image side makes of a stimulus.
RETRIEVAL = "retrieval"


def target_shapes(targets: Mapping[str, int | list[int] | Shape]) -> dict[str, Shape]:
    """Return every target's shape as a tuple.

    Parameters
    ----------
    targets : mapping
        A number of dimensions, or a shape such as ``(n_tokens, dim)``, for every target.

    Raises
    ------
    ConfigError
        If there is no target or a shape is not positive.

    Examples
    --------
    >>> target_shapes({"pooled": 512, "tokens": [257, 768]})
    {'pooled': (512,), 'tokens': (257, 768)}
    """
    shapes = {name: (shape,) if isinstance(shape, int) else tuple(shape) for name, shape in targets.items()}
    if not shapes:
        raise ConfigError("targets: got none, expected at least one")
    for name, shape in shapes.items():
        if not shape or min(shape) < 1:
            raise ConfigError(f"targets: got shape {shape} for {name!r}, expected positive sizes")
    return shapes


class Heads(nn.Module):
    """Base of the heads: one module a target, each reading the same latent.

    Parameters
    ----------
    in_features : int
        Width of the latent.
    targets : mapping
        See :func:`target_shapes`.
    """

    #: Whether the latent these heads read keeps time.
    reads_time = False

    def __init__(self, in_features: int, targets: Mapping[str, int | list[int] | Shape]) -> None:
        super().__init__()
        self.shapes = target_shapes(targets)
        self.in_features = in_features
        # A list, since names of layers may hold dots, which a dictionary of modules refuses.
        self.maps = nn.ModuleList(self.build(prod(shape)) for shape in self.shapes.values())

    def build(self, out_features: int) -> nn.Module:
        """Return the module of one target."""
        raise NotImplementedError

    def forward(self, latent: Tensor) -> dict[str, Tensor]:
        """Return a prediction of shape ``(n_trials, *shape)`` for every target."""
        return {
            name: module(latent).unflatten(1, shape)
            for (name, shape), module in zip(self.shapes.items(), self.maps, strict=True)
        }


class LinearHeads(Heads):
    """A linear map for every target.

    Examples
    --------
    >>> import torch
    >>> LinearHeads(8, {"layer.3": 5})(torch.zeros(2, 8))["layer.3"].shape
    torch.Size([2, 5])
    """

    def build(self, out_features: int) -> nn.Module:
        """Return a linear map."""
        return nn.Linear(self.in_features, out_features)


class DirectHeads(Heads):
    """The latent itself where it has a target's width; a linear map for any other target.

    Published projection networks end in the target's own width: with such a target there is nothing behind them.

    Examples
    --------
    >>> import torch
    >>> DirectHeads(8, {"image": 8})(torch.ones(1, 8))["image"].sum().item()
    8.0
    """

    def build(self, out_features: int) -> nn.Module:
        """Return nothing, or a linear map."""
        return nn.Identity() if out_features == self.in_features else nn.Linear(self.in_features, out_features)


class RetrievalHeads(LinearHeads):
    """A learned retrieval space, and beside it linear readouts of the targets that leave the network as it is.

    No gradient of a readout reaches the latent: the network is trained by what is asked of ``retrieval`` alone, as
    published, and can yet be compared with others in the targets' own spaces.

    Raises
    ------
    ConfigError
        If there is no head ``retrieval``: it comes with an image side.

    Examples
    --------
    >>> import torch
    >>> latent = torch.ones(1, 8, requires_grad=True)
    >>> heads = RetrievalHeads(8, {"image": 5, "retrieval": 3})(latent)
    >>> heads["image"].requires_grad, torch.autograd.grad(heads["image"].sum(), latent, allow_unused=True)[0]
    (True, None)
    """

    def __init__(self, in_features: int, targets: Mapping[str, int | list[int] | Shape]) -> None:
        super().__init__(in_features, targets)
        if RETRIEVAL not in self.shapes:
            raise ConfigError(f"heads: got RetrievalHeads without {RETRIEVAL!r}, expected an image_side beside them")

    def forward(self, latent: Tensor) -> dict[str, Tensor]:
        """Return a prediction of shape ``(n_trials, *shape)`` for every target."""
        fixed = latent.detach()
        return {
            name: module(latent if name == RETRIEVAL else fixed).unflatten(1, shape)
            for (name, shape), module in zip(self.shapes.items(), self.maps, strict=True)
        }


class TimeHeads(Heads):
    """For a latent that keeps time: two maps at every time, with twice its features and GELU between them.

    A target of shape ``(n_frames, dim)`` is predicted at all times, resampled linearly to its frames where their number
    differs. A target without time is predicted by the mean over times.

    Examples
    --------
    >>> import torch
    >>> heads = TimeHeads(4, {"speech": [6, 3], "word": 5})(torch.zeros(2, 4, 6))
    >>> heads["speech"].shape, heads["word"].shape
    (torch.Size([2, 6, 3]), torch.Size([2, 5]))
    """

    reads_time = True

    def __init__(self, in_features: int, targets: Mapping[str, int | list[int] | Shape]) -> None:
        self._dims = [shape[-1] for shape in target_shapes(targets).values()]
        super().__init__(in_features, targets)
        for name, shape in self.shapes.items():
            if len(shape) > 2:
                raise ConfigError(f"heads: got shape {shape} for {name!r}, expected (dim,) or (n_frames, dim)")
        self.maps = nn.ModuleList(PointwiseMLP(in_features, dim) for dim in self._dims)

    def build(self, out_features: int) -> nn.Module:
        """Return nothing: these maps depend on the last axis of the targets alone."""
        return nn.Identity()

    def forward(self, latent: Tensor) -> dict[str, Tensor]:
        """Return a prediction of shape ``(n_trials, *shape)`` for every target."""
        found = {}
        for (name, shape), module in zip(self.shapes.items(), self.maps, strict=True):
            prediction: Tensor = module(latent)
            if len(shape) == 1:
                found[name] = prediction.mean(dim=2)
                continue
            if prediction.shape[2] != shape[0]:
                prediction = functional.interpolate(prediction, size=shape[0], mode="linear", align_corners=False)
            found[name] = prediction.transpose(1, 2)
        return found


class MLPHeads(Heads):
    """LayerNorm, GELU and a hidden layer for every target.

    Parameters
    ----------
    in_features, targets
        See :class:`Heads`.
    width : int
        Width of the hidden layer.
    dropout : float
        Dropout of the hidden layer.
    plain : bool
        Nothing but two linear maps with GELU and dropout between them.
    """

    def __init__(
        self,
        in_features: int,
        targets: Mapping[str, int | list[int] | Shape],
        width: int = 1024,
        dropout: float = 0.0,
        plain: bool = False,
    ) -> None:
        check_dropout(dropout=dropout)
        self._plain = plain
        self._width = width
        self._dropout = dropout
        super().__init__(in_features, targets)

    def build(self, out_features: int) -> nn.Module:
        """Return a map with one hidden layer."""
        if self._plain:
            maps = nn.Linear(self.in_features, self._width), nn.Linear(self._width, out_features)
            return nn.Sequential(maps[0], nn.GELU(), nn.Dropout(self._dropout), maps[1])
        return nn.Sequential(
            nn.LayerNorm(self.in_features),
            nn.GELU(),
            nn.Linear(self.in_features, self._width),
            nn.LayerNorm(self._width),
            nn.GELU(),
            nn.Dropout(self._dropout),
            nn.Linear(self._width, out_features),
        )
