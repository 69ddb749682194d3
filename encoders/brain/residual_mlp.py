"""The residual MLP for fMRI: wide residual blocks over the voxels of a region."""

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.attention import Norm
from neurodecode.encoders.brain.backbones import Backbone, check_dropout


def norm_last_block(width: int, dropout: float) -> nn.Sequential:
    """Build what MindEye adds to its latent: Linear, LayerNorm, GELU, dropout.

    Examples
    --------
    >>> len(norm_last_block(4, 0.1))
    4
    """
    return nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout))


def norm_first_block(width: int, dropout: float) -> nn.Sequential:
    """Build what MindEye2 adds to its latent: LayerNorm, Linear, GELU, dropout, Linear.

    Examples
    --------
    >>> len(norm_first_block(4, 0.1))
    5
    """
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
    )


class ResidualMLP(Backbone):
    """Linear, LayerNorm, GELU, then residual blocks of the same.

    With width 4,096 and four blocks this is MindEye's backbone. Behind a front end that already projects to ``width``
    features the entry map is left out (``entry=False``), and where nothing should follow it also LayerNorm, GELU and
    dropout (``activated=False``). With ``norm="before"`` a block is LayerNorm and a network with one hidden
    layer, as in MindEye2, whose only map of voxels is the subject's own.

    Parameters
    ----------
    n_channels, n_times : int
        Shape of what the front end returns.
    width : int
        Width of the blocks and of the latent.
    n_blocks : int
        Number of residual blocks.
    entry_dropout, dropout : float
        Dropout after the entry and inside every block.
    entry : bool
        Whether the entry has a linear map.
    activated : bool
        Whether LayerNorm, GELU and dropout stand before the first block.
    norm : str
        ``after`` a block's one map, or ``before`` its two.

    Raises
    ------
    ConfigError
        If there is no entry map and the front end's width is another one.

    References
    ----------
    Scotti et al. (2023). Reconstructing the Mind's Eye: fMRI-to-Image with Contrastive Learning and Diffusion Priors.
    NeurIPS. https://doi.org/10.48550/arXiv.2305.18274

    Examples
    --------
    >>> import torch
    >>> ResidualMLP(300, 1, width=16, n_blocks=2)(torch.zeros(2, 300, 1)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        n_channels: int,
        n_times: int,
        width: int = 4096,
        n_blocks: int = 4,
        entry_dropout: float = 0.5,
        dropout: float = 0.15,
        entry: bool = True,
        activated: bool = True,
        norm: Norm = "after",
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(entry_dropout=entry_dropout, dropout=dropout)
        if not entry and n_channels * n_times != width:
            raise ConfigError(
                f"width: got {width} without an entry map, expected the front end's {n_channels * n_times} features"
            )
        if norm not in ("before", "after"):
            raise ConfigError(f"norm: got {norm!r}, expected before or after")
        linear: list[nn.Module] = [nn.Linear(n_channels * n_times, width)] if entry else []
        active = [nn.LayerNorm(width), nn.GELU(), nn.Dropout(entry_dropout)] if activated else []
        self.entry = nn.Sequential(*linear, *active)
        build = norm_first_block if norm == "before" else norm_last_block
        self.blocks = nn.ModuleList(build(width, dropout) for _ in range(n_blocks))
        self.out_features = width

    def forward(self, signal: Tensor) -> Tensor:
        """Return the output of the last block."""
        latent: Tensor = self.entry(signal.flatten(1))
        for block in self.blocks:
            latent = latent + block(latent)
        return latent
