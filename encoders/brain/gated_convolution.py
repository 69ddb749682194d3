"""Dilated convolutions over time with gates: the body of the speech and vision decoders of Défossez and Benchetrit."""

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.backbones import Backbone, check_dropout
from neurodecode.encoders.brain.pointwise import PointwiseMLP
from neurodecode.encoders.brain.temporal_pooling import Pooling, build_pooling


class DilatedConvolution(nn.Module):
    """A convolution over time, batch normalisation, GELU, and the input added where the widths agree.

    Parameters
    ----------
    n_in, n_out : int
        Number of features before and after.
    kernel : int
        Length of the filters, odd.
    dilation : int
        Step between the samples a filter reads.
    dropout : float
        Probability of dropping an output.

    Examples
    --------
    >>> import torch
    >>> DilatedConvolution(4, 6, kernel=3, dilation=2)(torch.zeros(2, 4, 9)).shape
    torch.Size([2, 6, 9])
    """

    def __init__(self, n_in: int, n_out: int, *, kernel: int, dilation: int, dropout: float = 0.0) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.layers = nn.Sequential(
            nn.Conv1d(n_in, n_out, kernel, dilation=dilation, padding=padding),
            nn.BatchNorm1d(n_out),
            nn.GELU(),
            # A dropout of nothing still costs a pass over memory in training.
            nn.Dropout(dropout) if dropout > 0 else nn.Identity(),
        )
        self.residual = n_in == n_out

    def forward(self, signal: Tensor) -> Tensor:
        """Return features of the same length."""
        filtered: Tensor = self.layers(signal)
        return signal + filtered if self.residual else filtered


class GatedConvolution(nn.Module):
    """A convolution over time to twice the features, half of which gate the other half.

    Parameters
    ----------
    width : int
        Number of features before and after.
    kernel : int
        Length of the filters, odd.

    Examples
    --------
    >>> import torch
    >>> GatedConvolution(4)(torch.zeros(2, 4, 9)).shape
    torch.Size([2, 4, 9])
    """

    def __init__(self, width: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(width, 2 * width, kernel, padding=kernel // 2), nn.GLU(dim=1))

    def forward(self, signal: Tensor) -> Tensor:
        """Return features of the same shape."""
        gated: Tensor = self.layers(signal)
        return gated


class GatedConvolutions(Backbone):
    """Dilated convolutions with residual paths, a gated convolution after every few, and what is to become of time.

    With the defaults this is the body of Défossez et al.: ten layers of width 320 whose dilations grow from 1 to 16 and
    start again, a gate after every second one; each output sees 135 samples, half of them after it. Time is kept.

    Parameters
    ----------
    n_channels, n_times : int
        Shape of what the front end returns.
    width : int
        Number of features of a layer.
    n_layers : int
        Number of dilated convolutions.
    kernel : int
        Length of the filters, odd.
    period : int
        The dilation of layer k is 2 to the power of ``k modulo period``.
    gate_every : int
        A gated convolution follows this many layers; 0 for none.
    dropout : float
        Dropout after each dilated convolution.
    projection : int or None
        Width of a projection by two maps at every time, with twice ``width`` features and GELU between; None for none.
    pooling : str
        What becomes of time: see :func:`neurodecode.encoders.brain.temporal_pooling.build_pooling`; ``none`` keeps it.

    References
    ----------
    Défossez et al. (2023). Decoding speech perception from non-invasive brain recordings. Nature Machine
    Intelligence 5. https://doi.org/10.1038/s42256-023-00714-5

    Examples
    --------
    >>> import torch
    >>> GatedConvolutions(5, 20, width=8, n_layers=2)(torch.zeros(2, 5, 20)).shape
    torch.Size([2, 8, 20])
    >>> GatedConvolutions(5, 20, width=8, n_layers=2, projection=6, pooling="linear")(torch.zeros(2, 5, 20)).shape
    torch.Size([2, 6])
    """

    def __init__(
        self,
        n_channels: int,
        n_times: int,
        width: int = 320,
        n_layers: int = 10,
        kernel: int = 3,
        period: int = 5,
        gate_every: int = 2,
        dropout: float = 0.0,
        projection: int | None = None,
        pooling: Pooling = "none",
    ) -> None:
        super().__init__(n_channels, n_times)
        check_dropout(dropout=dropout)
        if n_layers < 1 or period < 1 or gate_every < 0 or width < 1:
            raise ConfigError(
                f"n_layers, period, gate_every, width: got {n_layers}, {period}, {gate_every} and {width}, "
                "expected at least 1 (gate_every: 0)"
            )
        if kernel < 1 or kernel % 2 == 0:
            raise ConfigError(f"kernel: got {kernel}, expected an odd number")
        layers: list[nn.Module] = []
        for number in range(n_layers):
            layers.append(
                DilatedConvolution(
                    n_channels if number == 0 else width,
                    width,
                    kernel=kernel,
                    dilation=2 ** (number % period),
                    dropout=dropout,
                )
            )
            if gate_every and (number + 1) % gate_every == 0:
                layers.append(GatedConvolution(width))
        self.layers = nn.Sequential(*layers)
        self.projection: nn.Module = nn.Identity() if projection is None else PointwiseMLP(width, projection)
        self.out_features = width if projection is None else projection
        self.pooling = build_pooling(pooling, self.out_features, n_times)
        self.out_times = n_times if pooling == "none" else None

    def forward(self, signal: Tensor) -> Tensor:
        """Return features at every time, or pooled over time."""
        latent: Tensor = self.pooling(self.projection(self.layers(signal)))
        return latent
