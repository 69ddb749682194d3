"""A diffusion prior: from what an encoder predicts to an embedding as a stimulus would have it.

Regression gives the mean over all embeddings that agree with the brain, which is none of them: it is too short and too
smooth for a generator. The prior learns the distribution of the embeddings given the prediction, and draws from it.
"""

from math import cos, log, pi

import torch
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.attention import AttentionBlock
from neurodecode.encoders.brain.backbones import check_dropout


def signal_shares(n_steps: int) -> Tensor:
    """Return the share of the variance that is still signal after each step of noising (cosine schedule).

    Parameters
    ----------
    n_steps : int
        Number of steps.

    Returns
    -------
    Tensor of shape (n_steps,)
        From nearly 1 down to nearly 0.

    References
    ----------
    Nichol and Dhariwal (2021). Improved Denoising Diffusion Probabilistic Models. ICML.
    https://doi.org/10.48550/arXiv.2102.09672

    Examples
    --------
    >>> [round(float(share), 2) for share in signal_shares(4)]
    [0.85, 0.49, 0.14, 0.0]
    """
    offset = 0.008

    def left(part: float) -> float:
        return cos((part + offset) / (1 + offset) * pi / 2) ** 2

    shares = [left((step + 1) / n_steps) / left(0.0) for step in range(n_steps)]
    return torch.tensor(shares).clamp(1e-5, 1 - 1e-5)


def step_features(step: Tensor, width: int) -> Tensor:
    """Return sines and cosines of steps ``(n,)``, shape (n, width).

    Examples
    --------
    >>> step_features(torch.zeros(1), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    half = (width + 1) // 2
    angles = step.float()[:, None] * torch.exp(-log(10000.0) * torch.arange(half, device=step.device) / half)
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]


class DiffusionPriorNetwork(nn.Module):
    """A transformer over predicted tokens, the step, and noised tokens, which it cleans.

    Every token sees every other. In training the prediction is now and then left out, so that the network also knows
    the embeddings by themselves.

    Parameters
    ----------
    n_tokens, dim : int
        Shape of an embedding; a vector is one token.
    width : int or None
        Width of the transformer; None takes ``dim``. Another width is reached by linear maps.
    n_layers, n_heads, head_width
        See :class:`neurodecode.encoders.brain.attention.AttentionBlock`.
    n_steps : int
        Steps from an embedding to noise.
    dropout : float
        Of the layers.

    References
    ----------
    Ramesh et al. (2022). Hierarchical Text-Conditional Image Generation with CLIP Latents.
    https://doi.org/10.48550/arXiv.2204.06125; as MindEye uses it: Scotti et al. (2023).
    https://doi.org/10.48550/arXiv.2305.18274

    Examples
    --------
    >>> network = DiffusionPriorNetwork(3, 8, n_layers=1, n_heads=2, head_width=4)
    >>> network(torch.zeros(2, 3, 8), torch.zeros(2).long(), torch.zeros(2, 3, 8)).shape
    torch.Size([2, 3, 8])
    """

    shares: Tensor

    def __init__(
        self,
        n_tokens: int,
        dim: int,
        width: int | None = None,
        n_layers: int = 6,
        n_heads: int = 12,
        head_width: int = 64,
        n_steps: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_dropout(dropout=dropout)
        if min(n_tokens, dim) < 1 or n_steps < 2:
            raise ConfigError(
                f"prior: got {n_tokens} tokens of {dim} and {n_steps} steps, expected at least 1, 1 and 2"
            )
        inner = dim if width is None else width
        self.shape = (n_tokens, dim)
        self.width = inner
        self.n_steps = n_steps
        self.entry = nn.ModuleList(nn.Identity() if inner == dim else nn.Linear(dim, inner) for _ in range(2))
        self.absent = nn.Parameter(0.02 * torch.randn(n_tokens, inner))
        self.places = nn.Parameter(0.02 * torch.randn(2 * n_tokens + 1, inner))
        self.step = nn.Sequential(nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, inner))
        self.blocks = nn.ModuleList(
            AttentionBlock(inner, n_heads, hidden=4 * inner, head_width=head_width, dropout=dropout)
            for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(inner)
        self.exit = nn.Linear(inner, dim)
        self.register_buffer("shares", signal_shares(n_steps), persistent=False)

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"n_steps={self.n_steps}"

    def noised(self, clean: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """Return embeddings ``(n, n_tokens, dim)`` at their steps ``(n,)``."""
        share = self.shares[step][:, None, None]
        return share.sqrt() * clean + (1 - share).sqrt() * noise

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor, absent: Tensor | None = None) -> Tensor:
        """Clean embeddings.

        Parameters
        ----------
        noised : Tensor of shape (n, n_tokens, dim)
            Noised embeddings.
        step : Tensor of int64, shape (n,)
            How far they are noised.
        condition : Tensor of shape (n, n_tokens, dim)
            What an encoder predicts.
        absent : Tensor of bool, shape (n,), optional
            Where the prediction is left out.

        Returns
        -------
        Tensor of shape (n, n_tokens, dim)
            The expected clean embeddings.
        """
        given = self.entry[0](condition)
        if absent is not None:
            given = torch.where(absent[:, None, None], self.absent, given)
        when = self.step(step_features(step, self.width))[:, None]
        tokens = torch.cat([given, when, self.entry[1](noised)], dim=1) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        cleaned: Tensor = self.exit(self.norm(tokens[:, -self.shape[0] :]))
        return cleaned

    @torch.no_grad()
    def draw(self, condition: Tensor, *, n_steps: int = 20, seed: int = 0, guidance: float = 1.0) -> Tensor:
        """Draw an embedding for every prediction (deterministic sampler from seeded noise).

        Parameters
        ----------
        condition : Tensor of shape (n, n_tokens, dim)
            Predictions.
        n_steps : int
            Evaluations of the network.
        seed : int
            Of the noise, which is the same for every row, so that a row does not depend on its neighbours.
        guidance : float
            1 draws given the prediction; more leads away from what is likely without it.

        Returns
        -------
        Tensor of shape (n, n_tokens, dim)

        References
        ----------
        Song et al. (2021). Denoising Diffusion Implicit Models. ICLR. https://doi.org/10.48550/arXiv.2010.02502
        """
        if not 1 <= n_steps <= self.n_steps:
            raise ConfigError(f"n_steps: got {n_steps}, expected 1 to {self.n_steps}")
        start = torch.randn(self.shape, generator=torch.Generator().manual_seed(seed)).to(condition)
        current = start.expand_as(condition)
        places = torch.linspace(self.n_steps - 1, 0, n_steps, device=condition.device).round().long()
        nowhere = torch.ones(len(condition), dtype=torch.bool, device=condition.device)
        for number, place in enumerate(places):
            step = place.expand(len(condition))
            clean: Tensor = self(current, step, condition)
            if guidance != 1.0:
                free = self(current, step, condition, nowhere)
                clean = free + guidance * (clean - free)
            if number + 1 == n_steps:
                return clean
            share, following = self.shares[place], self.shares[places[number + 1]]
            noise = (current - share.sqrt() * clean) / (1 - share).sqrt()
            current = following.sqrt() * clean + (1 - following).sqrt() * noise
        raise AssertionError("no step was taken")
