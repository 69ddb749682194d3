"""The network of the built-in generator: a small hourglass patch transformer that removes noise under an embedding.

A picture is cut into patches (space to depth), each patch is a token, and a transformer predicts the *clean* picture
from the noisy one. Predicting the clean picture rather than the noise lets a narrow network handle large patches,
because pictures lie near a low-dimensional surface and noise does not. Between a few narrow layers on all patches lie
wider layers on a grid of half the side: most of the weights at a fraction of the cost.

The embedding enters twice: through the scale, shift and gate of every inner layer (adaptive layer normalisation, one
table per layer on top of one shared projection), and as a coarse layout added to the tokens, which lets the network be
a good regression from the embedding where the noise hides everything else.

References
----------
Peebles and Xie 2023, adaptive layer normalisation for diffusion transformers, doi:10.1109/ICCV51070.2023.00387.
Li and He 2025, prediction of the clean picture with large patches, doi:10.48550/arXiv.2511.13720.
Nawrot et al. 2022, hourglass transformers, doi:10.18653/v1/2022.findings-naacl.117.
"""

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

LEVEL_FEATURES = 128


def sinusoidal_features(level: Tensor, dim: int) -> Tensor:
    """Compute cosine and sine features of a noise level.

    Parameters
    ----------
    level : Tensor of shape (n,)
        Noise levels between 0 (clean) and 1 (pure noise).
    dim : int
        Even number of features.

    Returns
    -------
    Tensor of shape (n, dim), float32

    Examples
    --------
    >>> import torch
    >>> sinusoidal_features(torch.zeros(2), 4).tolist()[0]
    [1.0, 1.0, 0.0, 0.0]
    """
    half = dim // 2
    frequencies = torch.exp(-math.log(1000.0) * torch.arange(half, dtype=torch.float32, device=level.device) / half)
    angles = 100.0 * level.float()[:, None] * frequencies[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class Block(nn.Module):
    """One transformer layer; its normalisations may be scaled, shifted and gated by a condition.

    Parameters
    ----------
    dim : int
        Width of the tokens.
    n_heads : int
        Number of attention heads; divides `dim`.
    mlp_ratio : float
        Hidden width of the feed-forward part over `dim`.
    dropout : float
        Probability of zeroing a hidden unit of the feed-forward part while training.
    """

    def __init__(self, dim: int, n_heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim, elementwise_affine=False)
        hidden = int(dim * mlp_ratio)
        self.mlp_in = nn.Linear(dim, hidden)
        self.mlp_out = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        # Rows: shift, scale, gate of the attention, then of the feed-forward part; gates start small.
        self.modulation_table = nn.Parameter(torch.tensor([0.0, 0.0, 0.1, 0.0, 0.0, 0.1])[:, None].repeat(1, dim))

    def forward(self, tokens: Tensor, modulation: Tensor | None = None) -> Tensor:
        """Apply attention and feed-forward.

        Parameters
        ----------
        tokens : Tensor of shape (n, n_tokens, dim)
        modulation : Tensor of shape (n, 6, dim), optional
            Shift, scale and gate of the attention, then of the feed-forward part, added to this layer's own.

        Returns
        -------
        Tensor of shape (n, n_tokens, dim)
        """
        table = self.modulation_table if modulation is None else modulation + self.modulation_table
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = table.to(tokens.dtype).unsqueeze(-2).unbind(-3)
        mixed = self.attend(torch.addcmul(shift_a, self.attention_norm(tokens), 1 + scale_a))
        tokens = torch.addcmul(tokens, gate_a, mixed.to(tokens.dtype))
        hidden = self.mlp_in(torch.addcmul(shift_m, self.mlp_norm(tokens), 1 + scale_m))
        hidden = self.mlp_out(self.dropout(functional.silu(hidden)))
        return torch.addcmul(tokens, gate_m, hidden.to(tokens.dtype))

    def attend(self, tokens: Tensor) -> Tensor:
        """Let every token look at all others.

        Parameters
        ----------
        tokens : Tensor of shape (n, n_tokens, dim)

        Returns
        -------
        Tensor of shape (n, n_tokens, dim)
        """
        n, n_tokens, dim = tokens.shape
        packed = self.query_key_value(tokens).view(n, n_tokens, 3, self.n_heads, dim // self.n_heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: on a CPU, the fused attention's backward pass in bfloat16 is four times slower than two products.
        weights = torch.matmul(query * (dim // self.n_heads) ** -0.5, key.transpose(-1, -2)).softmax(dim=-1)
        mixed = torch.matmul(weights.to(value.dtype), value)
        return self.attention_out(mixed.transpose(1, 2).reshape(n, n_tokens, dim))  # type: ignore[no-any-return]


class PatchDiffusionTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predict the clean picture from a noisy one, its noise level and an embedding.

    Parameters
    ----------
    embedding_dim : int
        Length of the embedding that the picture must follow.
    image_size : int
        Height and width of the picture in pixels.
    patch_size : int
        Side of a patch in pixels; twice of it divides `image_size`.
    outer_dim, inner_dim : int
        Width of the tokens on the patch grid and on the grid of half its side.
    before_depth, after_depth : int
        Layers on the patch grid before and after the inner ones.
    inner_depth : int
        Layers on the inner grid.
    head_dim : int
        Width of an attention head; divides both widths.
    mlp_ratio : float
        Hidden width of the feed-forward parts over the width of the tokens.
    condition_dim : int
        Width of the hidden layer that the embedding goes through first.
    layout_dim : int
        Width of the coarse layout, per inner token, that is read from the embedding.
    dropout : float
        Dropout in the feed-forward parts and on the hidden layer of the condition, while training.

    Examples
    --------
    >>> import torch
    >>> sizes = dict(image_size=8, patch_size=2, outer_dim=8, inner_dim=8, inner_depth=1, head_dim=4)
    >>> network = PatchDiffusionTransformer(embedding_dim=4, **sizes)
    >>> tuple(network(torch.zeros(2, 3, 8, 8), torch.ones(2), torch.zeros(2, 4)).shape)
    (2, 3, 8, 8)
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        embedding_dim: int = 1280,
        image_size: int = 64,
        patch_size: int = 8,
        outer_dim: int = 192,
        inner_dim: int = 320,
        before_depth: int = 1,
        after_depth: int = 2,
        inner_depth: int = 4,
        head_dim: int = 64,
        mlp_ratio: float = 4.0,
        condition_dim: int = 320,
        layout_dim: int = 48,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.side = image_size // patch_size
        n_inner = (self.side // 2) ** 2
        # Buffers saved with the weights, so that a saved network always standardises as it did in training.
        self.register_buffer("input_mean", torch.zeros(embedding_dim))
        self.register_buffer("input_scale", torch.ones(embedding_dim))
        self.level_in = nn.Sequential(
            nn.Linear(LEVEL_FEATURES, condition_dim), nn.SiLU(), nn.Linear(condition_dim, condition_dim)
        )
        self.condition_hidden = nn.Sequential(nn.Linear(embedding_dim, condition_dim), nn.SiLU(), nn.Dropout(dropout))
        self.condition_vector = nn.Linear(condition_dim, condition_dim)
        self.no_condition = nn.Parameter(0.02 * torch.randn(condition_dim))
        self.layout = nn.Linear(condition_dim, n_inner * layout_dim)
        self.layout_in = nn.Linear(layout_dim, inner_dim)
        self.patch_in = nn.Linear(3 * patch_size**2, outer_dim)
        self.outer_positions = nn.Parameter(0.02 * torch.randn(self.side**2, outer_dim))
        self.inner_positions = nn.Parameter(0.02 * torch.randn(n_inner, inner_dim))
        self.inner_modulation = nn.Linear(condition_dim, 6 * inner_dim)

        def layers(dim: int, depth: int) -> nn.ModuleList:
            return nn.ModuleList(Block(dim, dim // head_dim, mlp_ratio, dropout) for _ in range(depth))

        self.before = layers(outer_dim, before_depth)
        self.merge = nn.Linear(4 * outer_dim, inner_dim)
        self.inner = layers(inner_dim, inner_depth)
        self.split = nn.Linear(inner_dim, 4 * outer_dim)
        self.after = layers(outer_dim, after_depth)
        self.final_norm = nn.LayerNorm(outer_dim, elementwise_affine=False)
        self.final_modulation = nn.Linear(condition_dim, 2 * outer_dim)
        self.patch_out = nn.Linear(outer_dim, 3 * patch_size**2)
        # The condition starts without effect on the layers and the output starts grey: training is stable at once.
        for layer in (self.inner_modulation, self.final_modulation, self.patch_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def set_standardisation(self, mean: Tensor, scale: Tensor) -> None:
        """Store the statistics of the training embeddings that `standardise` uses.

        Parameters
        ----------
        mean, scale : Tensor of shape (embedding_dim,)
            Mean and (positive) standard deviation of every dimension over the training pictures.
        """
        self.input_mean.copy_(mean)
        self.input_scale.copy_(scale)

    def standardise(self, embedding: Tensor) -> Tensor:
        """Centre the embedding on the training pictures' mean and divide it by their standard deviation.

        Parameters
        ----------
        embedding : Tensor of shape (n, embedding_dim)

        Returns
        -------
        Tensor of shape (n, embedding_dim), float32
        """
        standardised: torch.Tensor = (embedding.float() - self.input_mean.float()) / self.input_scale.float()
        return standardised

    def forward(
        self, sample: Tensor, noise_level: Tensor, standardised: Tensor, use_condition: Tensor | None = None
    ) -> Tensor:
        """Predict the clean picture.

        Parameters
        ----------
        sample : Tensor of shape (n, 3, image_size, image_size)
            Noisy picture; clean pictures lie in [-1, 1].
        noise_level : Tensor of shape (n,)
            0 for a clean picture, 1 for pure noise.
        standardised : Tensor of shape (n, embedding_dim)
            Embeddings after `standardise`.
        use_condition : Tensor of shape (n,), bool, optional
            False for the rows that must ignore the embedding (the unconditional prediction). Default: all True.

        Returns
        -------
        Tensor of shape (n, 3, image_size, image_size)
        """
        n = sample.shape[0]
        hidden = self.condition_hidden(standardised)
        if use_condition is not None:
            hidden = torch.where(use_condition[:, None], hidden, self.no_condition.to(hidden.dtype))
        level = self.level_in(sinusoidal_features(noise_level, LEVEL_FEATURES).to(hidden.dtype))
        condition = functional.silu(level + self.condition_vector(hidden))
        modulation = self.inner_modulation(condition).view(n, 6, -1)

        # (n, side, side, dim) order: neighbours in the second and fourth axis make the 2 x 2 cells of the inner grid.
        patches = functional.pixel_unshuffle(sample, self.patch_size).flatten(2).transpose(1, 2)
        tokens = self.patch_in(patches) + self.outer_positions
        for block in self.before:
            tokens = block(tokens)
        half = self.side // 2
        cells = tokens.view(n, half, 2, half, 2, -1).transpose(2, 3).reshape(n, half * half, -1)
        layout = self.layout_in(self.layout(hidden).view(n, half * half, -1))
        inner = self.merge(cells) + layout + self.inner_positions
        for block in self.inner:
            inner = block(inner, modulation)
        spread = self.split(inner).view(n, half, half, 2, 2, -1).transpose(2, 3)
        tokens = tokens + spread.reshape(n, self.side**2, -1).to(tokens.dtype)
        for block in self.after:
            tokens = block(tokens)
        shift, scale = self.final_modulation(condition).unsqueeze(1).chunk(2, dim=-1)
        tokens = torch.addcmul(shift.to(tokens.dtype), self.final_norm(tokens), 1 + scale.to(tokens.dtype))
        grid = self.patch_out(tokens).transpose(1, 2).reshape(n, -1, self.side, self.side)
        return functional.pixel_shuffle(grid, self.patch_size)
