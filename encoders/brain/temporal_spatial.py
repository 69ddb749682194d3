"""The temporal-spatial convolution: filters over time, then over all sensors at once."""

from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import Backbone, Projector, check_dropout


class PooledFilters(nn.Module):
    """Filters over time and the average pooling behind them, in one step.

    Both are linear, so that pooling the filters instead of their responses gives the same numbers, with as many
    responses as are left in the end: a sixth of the memory at 250 Hz.

    Parameters
    ----------
    n_filters, kernel : int
        Number and length of the filters.
    pool, stride : int
        Length and step of the average.

    Examples
    --------
    >>> import torch
    >>> PooledFilters(4, 5, 10, 2)(torch.zeros(2, 1, 8, 40)).shape
    torch.Size([2, 4, 8, 14])
    """

    def __init__(self, n_filters: int, kernel: int, pool: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, n_filters, (1, kernel))
        self.pool = pool
        self.stride = stride

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"pool={self.pool}, stride={self.stride}"

    def forward(self, signal: Tensor) -> Tensor:
        """Return responses ``(n_trials, n_filters, n_channels, n_pooled)`` to signals with one leading feature."""
        box = signal.new_full((1, 1, self.pool), 1 / self.pool)
        filters = functional.conv1d(self.convolution.weight[:, 0], box, padding=self.pool - 1)[:, 0]
        windows = signal[:, 0].unfold(2, filters.shape[1], self.stride)
        responses = functional.linear(windows, filters, self.convolution.bias)
        return responses.permute(0, 3, 1, 2)


class TemporalSpatial(Backbone):
    """Convolve over time, pool, convolve over all channels, and project.

    With the default sizes, 63 channels and 250 samples, this is NICE's network: 36 pooled samples times 40 filters,
    1,440 features, projected to 768 (1.80 million parameters).

    Parameters
    ----------
    n_channels, n_times : int
        Shape of what the front end returns.
    n_filters : int
        Number of temporal filters, and of spatial ones.
    kernel, pool, stride : int
        Length of a temporal filter, length and step of the average pooling, in samples. The defaults suit 250 Hz.
    width : int
        Width of the latent.
    dropout : float
        Dropout after the spatial filters and inside the projection's residual block.

    Raises
    ------
    ConfigError
        If the window is shorter than filter and pooling need.

    References
    ----------
    Song et al. (2024). Decoding Natural Images from EEG for Object Recognition. ICLR.
    https://doi.org/10.48550/arXiv.2308.13234

    Examples
    --------
    >>> import torch
    >>> TemporalSpatial(8, 40, kernel=5, pool=10, stride=2, width=16)(torch.zeros(2, 8, 40)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        n_channels: int,
        n_times: int,
        n_filters: int = 40,
        kernel: int = 25,
        pool: int = 51,
        stride: int = 5,
        width: int = 768,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout)
        needed = kernel + pool - 1
        if n_times < needed:
            raise ConfigError(
                f"kernel, pool: got {kernel} and {pool}, which need {needed} time points, "
                f"expected sizes that fit the window's {n_times}"
            )
        n_pooled = (n_times - needed) // stride + 1
        self.filters = nn.Sequential(
            PooledFilters(n_filters, kernel, pool, stride),
            nn.BatchNorm2d(n_filters),
            nn.ELU(),
            nn.Conv2d(n_filters, n_filters, (n_channels, 1)),
            nn.BatchNorm2d(n_filters),
            nn.ELU(),
            nn.Dropout(dropout),
            nn.Conv2d(n_filters, n_filters, (1, 1)),
        )
        self.flat_features = n_pooled * n_filters
        self.projector = Projector(self.flat_features, width, dropout)
        self.out_features = width
        self._initialise()

    def _initialise(self) -> None:
        """Draw weights as the published network does: narrow ones, and gains near one."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, signal: Tensor) -> Tensor:
        """Return the projected responses of the filters."""
        latent: Tensor = self.projector(self.filters(signal.unsqueeze(1)).flatten(1))
        return latent
