"""What comes out of a brain encoder."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class EncoderOutput:
    """Named outputs of a brain encoder, rows in the order of the batch's groups.

    Parameters
    ----------
    heads : dict of str to Tensor of shape (n_trials, ...)
        One entry for every target the encoder predicts; a bank of layers has one head a layer.
    latent : Tensor of shape (n_trials, n_features), or (n_trials, n_features, n_times) where time is kept
        What the heads read.
    reconstruction : Tensor or None
        The signal predicted from the latent, for encoders that have a decoder of signals.
    inner : dict of str to Tensor of shape (n_trials, ...)
        What else objectives of this encoder read, such as the embedding before the backbone.
    """

    heads: dict[str, Tensor]
    latent: Tensor
    reconstruction: Tensor | None = None
    inner: dict[str, Tensor] = field(default_factory=dict)
