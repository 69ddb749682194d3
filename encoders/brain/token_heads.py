"""Heads for targets of many tokens: a map to all of them at once, or one for every token of a latent that has them."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.heads import RETRIEVAL, Heads, Shape, target_shapes


class TokenProjector(nn.Sequential):
    """LayerNorm, GELU and Linear, as often as there are maps; the same for every token.

    Parameters
    ----------
    dim : int
        Width of the tokens before and after.
    hidden : int
        Width between the maps.
    n_maps : int
        Number of linear maps, at least 1.

    Examples
    --------
    >>> TokenProjector(6, 8, 3)(torch.zeros(2, 5, 6)).shape
    torch.Size([2, 5, 6])
    """

    def __init__(self, dim: int, hidden: int, n_maps: int) -> None:
        if n_maps < 1 or hidden < 1:
            raise ConfigError(f"projector: got {n_maps} maps of width {hidden}, expected at least 1 of each")
        widths = [dim, *[hidden] * (n_maps - 1), dim]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.LayerNorm(before), nn.GELU(), nn.Linear(before, after)]
        super().__init__(*parts)


class TokenHeads(Heads):
    """Tokens from one linear map, and for ``retrieval`` what a projector makes of every token.

    The heads of the targets are the tokens themselves, which a generator is conditioned on. Beside an image side that
    returns the targets side by side, ``retrieval`` is compared with the same tokens, behind the projector: the contrast
    so need not spoil the tokens. A target that is a vector counts as one token.

    Parameters
    ----------
    in_features : int
        Width of the latent.
    targets : mapping
        See :func:`neurodecode.encoders.brain.heads.target_shapes`; ``(n_tokens, dim)`` for tokens.
    hidden : int or None
        Width of the projector's hidden layers; None takes the tokens'.
    n_maps : int
        Number of the projector's linear maps.

    Raises
    ------
    ConfigError
        If ``retrieval`` is not as wide as all targets side by side, which is what ``SameImageSide`` gives.

    References
    ----------
    Scotti et al. (2023). Reconstructing the Mind's Eye. NeurIPS. https://doi.org/10.48550/arXiv.2305.18274

    Examples
    --------
    >>> heads = TokenHeads(8, {"image": [5, 4], "retrieval": 20}, hidden=16)(torch.zeros(2, 8))
    >>> heads["image"].shape, heads["retrieval"].shape
    (torch.Size([2, 5, 4]), torch.Size([2, 20]))
    """

    def __init__(
        self,
        in_features: int,
        targets: Mapping[str, int | list[int] | Shape],
        hidden: int | None = 2048,
        n_maps: int = 3,
    ) -> None:
        shapes = target_shapes(targets)
        retrieval = shapes.pop(RETRIEVAL, None)
        super().__init__(in_features, shapes)
        total = sum(module.out_features for module in self.maps if isinstance(module, nn.Linear))
        if retrieval is not None and retrieval != (total,):
            raise ConfigError(
                f"heads: got a retrieval space of {retrieval[0]} beside targets of {total} numbers, expected the same; "
                "TokenHeads go with SameImageSide"
            )
        self.projectors = nn.ModuleList(
            TokenProjector(shape[-1], shape[-1] if hidden is None else hidden, n_maps)
            for shape in (self.shapes.values() if retrieval is not None else ())
        )

    def build(self, out_features: int) -> nn.Module:
        """Return a linear map to all tokens."""
        return nn.Linear(self.in_features, out_features)

    def forward(self, latent: Tensor) -> dict[str, Tensor]:
        """Return a prediction of shape ``(n_trials, *shape)`` for every target, and ``retrieval`` if wanted."""
        heads = super().forward(latent)
        if len(self.projectors):
            projected = [
                projector(tokens).flatten(1)
                for projector, tokens in zip(self.projectors, list(heads.values()), strict=True)
            ]
            heads[RETRIEVAL] = torch.cat(projected, dim=1)
        return heads


class SameTokenHeads(Heads):
    """For a latent of tokens: each becomes the target's token of the same number.

    A token is the target's itself where widths agree, as in networks trained to end in them; a linear map, the same for
    all tokens, leads to another width. A target that is a vector is read linearly from the mean of the tokens.

    Parameters
    ----------
    in_features, targets
        See :class:`Heads`.

    Examples
    --------
    >>> heads = SameTokenHeads(8, {"image": [5, 8], "pooled": 3})(torch.zeros(2, 8, 5))
    >>> heads["image"].shape, heads["pooled"].shape
    (torch.Size([2, 5, 8]), torch.Size([2, 3]))
    """

    reads_time = True

    def __init__(self, in_features: int, targets: Mapping[str, int | list[int] | Shape]) -> None:
        super().__init__(in_features, targets)
        for name, shape in self.shapes.items():
            if len(shape) > 2:
                raise ConfigError(f"heads: got shape {shape} for {name!r}, expected (dim,) or (n_tokens, dim)")
        self.maps = nn.ModuleList(
            nn.Identity() if shape[1:] == (in_features,) else nn.Linear(in_features, shape[-1])
            for shape in self.shapes.values()
        )

    def build(self, out_features: int) -> nn.Module:
        """Return nothing: these maps depend on the last axis of the targets alone."""
        return nn.Identity()

    def forward(self, latent: Tensor) -> dict[str, Tensor]:
        """Return a prediction of shape ``(n_trials, *shape)`` for every target."""
        tokens = latent.transpose(1, 2)
        found = {}
        for (name, shape), module in zip(self.shapes.items(), self.maps, strict=True):
            if len(shape) == 2 and shape[0] != tokens.shape[1]:
                raise MismatchError(f"head {name!r}: got {tokens.shape[1]} tokens, expected the target's {shape[0]}")
            found[name] = module(tokens if len(shape) == 2 else tokens.mean(dim=1))
        return found
