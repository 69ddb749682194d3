"""Region queries: every region asks the features of a stimulus; its voxels read the answer, each in its own way."""

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.attention import Attention, AttentionBlock
from neurodecode.encoders.brain.backbones import check_dropout
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.heads import Shape, target_shapes
from neurodecode.encoders.brain.layouts import SensorLayout, SubjectSensors
from neurodecode.encoders.encoding.regions import all_regions, region_of_channels


class QueryLayer(nn.Module):
    """Queries see each other, then a context, then a network at every query; LayerNorm before each.

    Parameters
    ----------
    width, n_heads, hidden, dropout
        See :class:`neurodecode.encoders.brain.attention.AttentionBlock`.

    Examples
    --------
    >>> QueryLayer(8, 2, hidden=16)(torch.zeros(3, 4, 8), torch.zeros(3, 9, 8)).shape
    torch.Size([3, 4, 8])
    """

    def __init__(self, width: int, n_heads: int, *, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.among = Attention(width, n_heads, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.block = AttentionBlock(width, n_heads, hidden=hidden, dropout=dropout)

    def asking(self, queries: Tensor) -> Tensor:
        """Return the queries after they have seen each other."""
        refined: Tensor = queries + self.dropout(self.among(self.norm(queries)))
        return refined

    def forward(self, queries: Tensor, context: Tensor, preferences: Tensor | None = None) -> Tensor:
        """Return queries ``(n, n_queries, width)`` that have seen the context ``(n, n_tokens, width)``.

        ``preferences`` of shape (n_queries, n_tokens) are added to the logits of the attention to the context.
        """
        answered: Tensor = self.block(self.asking(queries), context, mask=preferences)
        return answered

    def weights(self, queries: Tensor, context: Tensor, preferences: Tensor | None = None) -> Tensor:
        """Return where each query looks, shape (n, n_heads, n_queries, n_tokens)."""
        normed = self.block.norms[0](self.asking(queries))
        return self.block.attention.weights(normed, context, added=preferences)


class RegionEncoder(nn.Module):
    """From the features of a stimulus to every subject's voxels, through one query a region.

    Features are tokens, such as the patches of a frozen vision network; a vector counts as one token. Queries are
    shared by all subjects who have a region of that name; each subject's voxels have a linear map of their own, which
    reads their region's query and no other.

    Parameters
    ----------
    n_channels : dict of str to int
        Subjects with their sensor layouts, as the data module gives them. Subjects without named regions have one
        query, ``elsewhere``.
    n_times : int
        Number of time points of a window; every time has a readout of its own.
    targets : mapping
        Shapes of the features; see :func:`neurodecode.encoders.brain.heads.target_shapes`.
    width, n_heads, hidden, n_layers, dropout
        Size of the layers, see :class:`QueryLayer`. Features of another width are mapped to it linearly.
    preference : float
        Above 0, every region also learns how much it likes each token whatever the picture shows, this many times as
        fast as other weights: where it looks is then learnt from few pictures. 0, as published, leaves it to the
        features alone.
    regions, sides
        See :func:`neurodecode.encoders.encoding.regions.region_of_channels`.

    References
    ----------
    Adeli, Sun and Kriegeskorte (2025). Transformer brain encoders explain human high-level visual responses. NeurIPS.
    https://doi.org/10.48550/arXiv.2505.17329

    Examples
    --------
    >>> encoder = RegionEncoder({"a": 7}, 1, {"patches": [9, 8]}, width=8, n_heads=2, hidden=16)
    >>> encoder({"patches": torch.zeros(3, 9, 8)}, [SubjectBatch("a", torch.zeros(3, 7, 1))])[0].shape
    torch.Size([3, 7, 1])
    """

    def __init__(
        self,
        n_channels: dict[str, int],
        n_times: int,
        targets: Mapping[str, int | list[int] | Shape],
        width: int = 768,
        n_heads: int = 16,
        hidden: int = 1024,
        n_layers: int = 1,
        dropout: float = 0.1,
        preference: float = 0.0,
        regions: list[str] | None = None,
        sides: Sequence[str] = ("lh", "rh"),
    ) -> None:
        super().__init__()
        check_dropout(dropout=dropout)
        if not preference >= 0:
            raise ConfigError(f"preference: got {preference}, expected 0 or more")
        self.n_channels = dict(n_channels)
        self.n_times = n_times
        self.width = width
        self.shapes = target_shapes(targets)
        self.inputs = nn.ModuleList(
            nn.Identity() if shape[-1] == width else nn.Linear(shape[-1], width) for shape in self.shapes.values()
        )
        named = {
            subject: region_of_channels(_layout(n_channels, subject), regions, sides) for subject in self.n_channels
        }
        #: Names of the queries, in their order.
        self.regions = all_regions(named)
        self.queries = nn.Parameter(0.02 * torch.randn(len(self.regions), width))
        self.layers = nn.ModuleList(QueryLayer(width, n_heads, hidden=hidden, dropout=dropout) for _ in range(n_layers))
        self.preference = preference
        n_tokens = sum(prod(shape[:-1]) for shape in self.shapes.values())
        self.preferences = nn.Parameter(torch.zeros(n_layers, len(self.regions), n_tokens)) if preference else None
        self.norm = nn.LayerNorm(width)
        self.readouts = nn.ModuleList(nn.Linear(width, count * n_times) for count in self.n_channels.values())
        for readout in self.readouts:
            # Training starts from the mean response: signals are mostly noise, and drawn weights would only add to it.
            assert isinstance(readout, nn.Linear)
            nn.init.zeros_(readout.weight)
            nn.init.zeros_(readout.bias)
        for number, names in enumerate(named.values()):
            places = torch.tensor([self.regions.index(str(name)) for name in names], device="cpu")
            # Not among the weights: it follows from the layout.
            self.register_buffer(f"region_{number}", places, persistent=False)

    def extra_repr(self) -> str:
        """Name what shapes alone do not tell."""
        return f"regions={', '.join(self.regions)}, preference={self.preference:g}"

    def _tokens(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return all features as tokens ``(n, n_tokens, width)``."""
        tokens = []
        for (name, shape), module in zip(self.shapes.items(), self.inputs, strict=True):
            if name not in features or tuple(features[name].shape[1:]) != shape:
                got = tuple(features[name].shape[1:]) if name in features else "nothing"
                raise MismatchError(f"features: got {got} for {name!r}, expected shape {shape}")
            tokens.append(module(features[name].reshape(len(features[name]), -1, shape[-1])))
        return torch.cat(tokens, dim=1)

    def _preferred(self, number: int) -> Tensor | None:
        """Return what is added to the logits of a layer's attention."""
        return None if self.preferences is None else self.preference * self.preferences[number]

    @property
    def tokens(self) -> list[str]:
        """Names of the tokens in their order: the feature, with a number where it has several."""
        names = []
        for name, shape in self.shapes.items():
            count = prod(shape[:-1])
            names += [name] if count == 1 else [f"{name} {number}" for number in range(count)]
        return names

    def _asked(self, n_rows: int) -> Tensor:
        return self.queries.expand(n_rows, -1, -1)

    def answers(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return what every region found in the features, shape (n, n_regions, width)."""
        context = self._tokens(features)
        queries = self._asked(len(context))
        for number, layer in enumerate(self.layers):
            queries = layer(queries, context, self._preferred(number))
        answered: Tensor = self.norm(queries)
        return answered

    def attention(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return where every region looked in the last layer, averaged over heads, shape (n, n_regions, n_tokens).

        Rows sum to 1; regions are in the order of ``regions``, tokens in that of the features.
        """
        context = self._tokens(features)
        queries = self._asked(len(context))
        for number, layer in enumerate(self.layers[:-1]):
            queries = layer(queries, context, self._preferred(number))
        last = self.layers[-1]
        assert isinstance(last, QueryLayer)
        return last.weights(queries, context, self._preferred(len(self.layers) - 1)).mean(dim=1)

    def _number(self, subject: str) -> int:
        if subject not in self.n_channels:
            known = ", ".join(sorted(self.n_channels))
            raise MismatchError(f"subject: got {subject!r}, expected one the encoder was built for ({known})")
        return list(self.n_channels).index(subject)

    def outputs_of(self, subject: str) -> dict[str, Tensor]:
        """Return which of a subject's outputs, channels x times flattened, are read from each of its regions."""
        region = self.get_buffer(f"region_{self._number(subject)}").repeat_interleave(self.n_times)
        return {self.regions[place]: torch.nonzero(region == place).flatten() for place in region.unique().tolist()}

    @torch.no_grad()
    def set_readout(self, subject: str, outputs: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Take the readout of some of a subject's outputs: weights ``(n_outputs, width)`` and intercepts."""
        readout = self.readouts[self._number(subject)]
        assert isinstance(readout, nn.Linear)
        readout.weight[outputs] = weight
        readout.bias[outputs] = bias

    def read_out(self, answers: Tensor, subject: str) -> Tensor:
        """Read a subject's signal from the regions' answers.

        Parameters
        ----------
        answers : Tensor of shape (n, n_regions, width)
            What :meth:`answers` returned.
        subject : str
            Whose signal.

        Returns
        -------
        Tensor of shape (n, n_channels, n_times)

        Raises
        ------
        MismatchError
            For a subject the encoder was not built for.
        """
        number = self._number(subject)
        region, readout = self.get_buffer(f"region_{number}"), self.readouts[number]
        assert isinstance(readout, nn.Linear)
        order = torch.argsort(region, stable=True)
        weight = readout.weight.unflatten(0, (-1, self.n_times))
        bias = readout.bias.unflatten(0, (-1, self.n_times))
        parts = []
        for place in region.unique().tolist():
            own = torch.nonzero(region == place).flatten()
            read = functional.linear(answers[:, place], weight[own].flatten(0, 1), bias[own].flatten())
            parts.append(read.unflatten(1, (-1, self.n_times)))
        signal: Tensor = torch.cat(parts, dim=1)[:, torch.argsort(order)]
        return signal

    def forward(self, features: Mapping[str, Tensor], groups: Sequence[SubjectBatch]) -> list[Tensor]:
        """Predict the signals of a batch.

        Parameters
        ----------
        features : mapping of str to Tensor of shape (n_rows, *shape)
            Features of every row, in the order of the groups.
        groups : sequence of SubjectBatch
            Whose signals are wanted; the measured ones are not looked at.

        Returns
        -------
        list of Tensor of shape (n_trials, n_channels, n_times)
            One a group.
        """
        answers = self.answers(features).split([len(group) for group in groups])
        return [self.read_out(part, group.subject) for part, group in zip(answers, groups, strict=True)]


def _layout(n_channels: Mapping[str, int], subject: str) -> SensorLayout:
    if isinstance(n_channels, SubjectSensors):
        return n_channels.layouts[subject]
    return SensorLayout(tuple(str(number) for number in range(n_channels[subject])), 0.0)
