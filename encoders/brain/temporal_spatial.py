"""The temporal-spatial convolution: filters over time, then over all sensors at once."""

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import Backbone, Projector, check_dropout


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
            nn.Conv2d(1, n_filters, (1, kernel)),
            nn.AvgPool2d((1, pool), (1, stride)),
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
