"""The base of the backbones, and the building blocks that several of them use."""

from torch import Tensor, nn

from neurodecode.core.errors import ConfigError


class Backbone(nn.Module):
    """Base of the backbones: the part of an encoder that all subjects share.

    Parameters
    ----------
    n_channels, n_times : int
        Shape of what the front end returns.

    Attributes
    ----------
    out_features : int
        Width of the latent that :meth:`forward` returns.
    out_times : int or None
        Time points of the latent, where the backbone keeps time.
    """

    out_features: int
    out_times: int | None = None

    def __init__(self, n_channels: int, n_times: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.n_times = n_times

    def forward(self, signal: Tensor) -> Tensor:
        """Return the latent.

        Parameters
        ----------
        signal : Tensor of shape (n_trials, n_channels, n_times)
            What the front end returned.

        Returns
        -------
        Tensor of shape (n_trials, out_features), or (n_trials, out_features, out_times)
        """
        raise NotImplementedError


class ResidualGELU(nn.Module):
    """Add ``dropout(linear(gelu(x)))`` to ``x``.

    Parameters
    ----------
    width : int
        Number of features.
    dropout : float
        Probability of dropping an output of the inner branch.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.Dropout(dropout))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        refined: Tensor = features + self.inner(features)
        return refined


class Projector(nn.Sequential):
    """Linear, a residual GELU block and LayerNorm: the projection that most published EEG decoders end in.

    Parameters
    ----------
    in_features, width : int
        Number of features before and after.
    dropout : float
        Dropout inside the residual block.
    """

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__(nn.Linear(in_features, width), ResidualGELU(width, dropout), nn.LayerNorm(width))


def check_dropout(**probabilities: float) -> None:
    """Refuse a dropout that is no probability below one.

    Examples
    --------
    >>> check_dropout(dropout=0.3)
    """
    for name, probability in probabilities.items():
        if not 0.0 <= probability < 1.0:
            raise ConfigError(f"{name}: got {probability}, expected a probability from 0 to below 1")
