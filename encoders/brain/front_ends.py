"""Front ends: they bring subjects with different sensors to one common layout.

Every front end is built from the sensor layouts of the subjects it will meet, and refuses any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.brain.backbones import check_dropout
from neurodecode.encoders.brain.batches import SubjectBatch, check_groups, joined
from neurodecode.encoders.brain.subject_mixing import SubjectMixing


class FrontEnd(nn.Module):
    """Base of the front ends.

    Parameters
    ----------
    n_channels : mapping of str to int
        Number of channels (sensors or voxels) of every subject.
    n_times : int
        Number of time points of a window.
    masking : float
        Part of the signal's numbers that is set to zero in every training step, drawn anew; the rest is scaled up.

    Attributes
    ----------
    out_channels, out_times : int
        Shape of what :meth:`forward` returns, ``(n_trials, out_channels, out_times)``.
    """

    out_channels: int
    out_times: int

    def __init__(self, n_channels: Mapping[str, int], n_times: int, masking: float = 0.0) -> None:
        super().__init__()
        check_dropout(masking=masking)
        if not n_channels:
            raise ConfigError("n_channels: got no subject, expected at least one")
        self.n_channels = dict(n_channels)
        self.n_times = n_times
        self.masking = masking

    @property
    def subjects(self) -> list[str]:
        """Names of the known subjects."""
        return list(self.n_channels)

    def subject_index(self, subject: str) -> int:
        """Return the position of a subject, which also is the position of its parameters."""
        try:
            return self.subjects.index(subject)
        except ValueError:
            known = ", ".join(sorted(self.subjects))
            raise MismatchError(f"subject: got {subject!r}, expected one the encoder was built for ({known})") from None

    def masked(self, signal: Tensor) -> Tensor:
        """Mask a signal in training."""
        return functional.dropout(signal, self.masking) if self.training and self.masking else signal

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Bring one subject's signal to the common layout."""
        raise NotImplementedError

    def forward(self, groups: Sequence[SubjectBatch]) -> Tensor:
        """Return the groups in the common layout, concatenated in their order.

        Parameters
        ----------
        groups : sequence of SubjectBatch
            One group a subject.

        Returns
        -------
        Tensor of shape (n_trials, out_channels, out_times)

        Raises
        ------
        MismatchError
            For a subject or a shape this front end was not built for.
        """
        return self.unmasked([replace(group, signal=self.masked(group.signal)) for group in groups])

    def unmasked(self, groups: Sequence[SubjectBatch]) -> Tensor:
        """Return the same with nothing masked, in training too: what is to be reconstructed."""
        check_groups(groups, self.n_channels, self.n_times)
        return joined([self.adapt(group.subject, group.signal) for group in groups])


def common_channel_count(n_channels: Mapping[str, int], front_end: str) -> int:
    """Return the channel count that all subjects share, or say who differs.

    Examples
    --------
    >>> common_channel_count({"a": 63, "b": 63}, "Identity")
    63
    """
    counts = set(n_channels.values())
    if len(counts) != 1:
        listed = ", ".join(f"{subject}: {count}" for subject, count in n_channels.items())
        raise MismatchError(
            f"front_end: got {front_end} with differing channel counts ({listed}), expected one shared layout; "
            "SubjectLinear or SubjectProjection accept differing ones"
        )
    return counts.pop()


class Identity(FrontEnd):
    """No adaptation: all subjects share one layout and one set of weights.

    Parameters
    ----------
    n_channels, n_times, masking
        See :class:`FrontEnd`.
    shuffled_times : float
        Part of the windows whose times are put into another order in every training step, drawn anew.

    Examples
    --------
    >>> Identity({"a": 5, "b": 5}, 10, masking=0.2).out_channels
    5
    """

    def __init__(
        self, n_channels: Mapping[str, int], n_times: int, masking: float = 0.0, shuffled_times: float = 0.0
    ) -> None:
        super().__init__(n_channels, n_times, masking)
        if not 0 <= shuffled_times <= 1:
            raise ConfigError(f"shuffled_times: got {shuffled_times}, expected a part from 0 to 1")
        self.shuffled_times = shuffled_times
        self.out_channels = common_channel_count(n_channels, "Identity")
        self.out_times = n_times

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Return the signal as it is, but for what training changes on purpose."""
        if not (self.training and self.shuffled_times):
            return signal
        keys = torch.rand(len(signal), self.n_times, device=signal.device)
        left = torch.rand(len(signal), 1, device=signal.device) >= self.shuffled_times
        steps = torch.arange(self.n_times, device=signal.device)
        order = torch.where(left, steps, keys.argsort(dim=1))
        return signal.gather(2, order[:, None].expand_as(signal))


class SubjectLayer(FrontEnd):
    """A square mixing of channels for every subject, on a layout that the subjects share.

    It starts as the identity, so that training departs from a model common to all subjects. The idea of one such
    layer a subject is that of Défossez et al. (2023).

    References
    ----------
    Défossez et al. (2023). Decoding speech perception from non-invasive brain recordings. Nature Machine
    Intelligence 5. https://doi.org/10.1038/s42256-023-00714-5
    """

    def __init__(self, n_channels: Mapping[str, int], n_times: int) -> None:
        super().__init__(n_channels, n_times)
        count = common_channel_count(n_channels, "SubjectLayer")
        self.out_channels = count
        self.out_times = n_times
        self.mixing = SubjectMixing(len(n_channels), count, identity=True)

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Mix the channels with the subject's matrix."""
        mixed: Tensor = self.mixing(self.subject_index(subject), signal)
        return mixed


class SubjectLinear(FrontEnd):
    """A linear map over channels for every subject, to ``width`` virtual channels.

    Parameters
    ----------
    n_channels, n_times, masking
        See :class:`FrontEnd`.
    width : int
        Number of virtual channels.

    Examples
    --------
    >>> import torch
    >>> front_end = SubjectLinear({"a": 5, "b": 7}, 10, width=4)
    >>> front_end([SubjectBatch("a", torch.zeros(2, 5, 10)), SubjectBatch("b", torch.zeros(1, 7, 10))]).shape
    torch.Size([3, 4, 10])
    """

    def __init__(self, n_channels: Mapping[str, int], n_times: int, width: int = 64, masking: float = 0.0) -> None:
        super().__init__(n_channels, n_times, masking)
        if width < 1:
            raise ConfigError(f"width: got {width}, expected at least 1")
        self.out_channels = width
        self.out_times = n_times
        self.projections = nn.ModuleList(nn.Conv1d(count, width, kernel_size=1) for count in n_channels.values())

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Apply the subject's map over channels."""
        adapted: Tensor = self.projections[self.subject_index(subject)](signal)
        return adapted


class SubjectProjection(FrontEnd):
    """A linear map of the whole flattened window for every subject, to ``width`` features.

    Meant for voxels, whose layouts have nothing in common between subjects: a map of betas has one time point, and
    the result has one as well.

    Parameters
    ----------
    n_channels, n_times, masking
        See :class:`FrontEnd`.
    width : int
        Number of features.

    Examples
    --------
    >>> import torch
    >>> front_end = SubjectProjection({"a": 500, "b": 700}, 1, width=32)
    >>> front_end([SubjectBatch("a", torch.zeros(2, 500, 1)), SubjectBatch("b", torch.zeros(1, 700, 1))]).shape
    torch.Size([3, 32, 1])
    """

    def __init__(self, n_channels: Mapping[str, int], n_times: int, width: int = 1024, masking: float = 0.0) -> None:
        super().__init__(n_channels, n_times, masking)
        if width < 1:
            raise ConfigError(f"width: got {width}, expected at least 1")
        self.out_channels = width
        self.out_times = 1
        self.projections = nn.ModuleList(nn.Linear(count * n_times, width) for count in n_channels.values())

    def adapt(self, subject: str, signal: Tensor) -> Tensor:
        """Flatten the window and apply the subject's map."""
        projected: Tensor = self.projections[self.subject_index(subject)](signal.flatten(1))
        return projected.unsqueeze(-1)
