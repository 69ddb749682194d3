"""The task ``decode``: brain to target."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.core.split import Part
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.context import Context
from neurodecode.encoders.brain.heads import RETRIEVAL
from neurodecode.encoders.brain.outputs import EncoderOutput
from neurodecode.training.answers import Answers
from neurodecode.training.batches import Batch, alone, whole_sequences
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.objectives import Objective, ObjectiveSum, side_by_side
from neurodecode.training.prepared_task import EncoderFactory, PreparedTask
from neurodecode.training.presets import preset
from neurodecode.training.pretrain_task import start_from_pretraining
from neurodecode.training.task import OptimizerFactory, Schedule
from neurodecode.training.warm_start import start_linear_path

ImageSideFactory = Callable[[dict[str, int | list[int]]], nn.Module]

#: Candidates whose targets are read at a time.
GALLERY_ROWS = 256


class DecodeTask(PreparedTask):
    """Train an encoder of brain signals to give the embedding of what was seen or heard.

    Parameters
    ----------
    encoder : callable
        Builds the encoder from the subjects' numbers of channels, the number of time points and the sizes of the
        targets. It has no default, so that weights are never loaded into another network than the one they were
        trained in.
    interface : dict
        What the data is like; linked from the data module.
    objectives : list of Objective, or str
        Terms of the loss, or the name of a preset.
    image_side : callable or None
        Builds a learned map of the stimulus's targets into a space of its own; the encoder then gets a head
        ``retrieval`` of its width.
    score_heads : list of str or None
        Heads compared by cosine, side by side, for the validation metrics; None takes ``retrieval`` where there is one,
        otherwise all targets.
    warm_start : str
        ``ridge`` or ``encoding`` fit a closed-form decoder on the training windows of the fold and put it into the
        encoder's linear path before training; see :func:`neurodecode.training.warm_start.start_linear_path`.
    pretrained : str or None
        A checkpoint of the task ``pretrain``, whose front end and backbone training starts from, unless weights were
        loaded into the task before.
    optimizer, schedule, warm_up, seed
        See :class:`neurodecode.training.task.Task`.

    Notes
    -----
    Logged are ``train/loss`` and each part of it, and for validation and test ``loss``, ``top5`` and ``mrr`` (mean
    reciprocal rank) among the candidates of that part, averaged over subjects. Where the encoder lets the trials of a
    sequence see each other, ``top5_alone`` and ``mrr_alone`` tell what is left without that. They steer training; the
    scores that are reported come from ``neurodecode retrieve``.
    """

    shown: ClassVar[tuple[str, ...]] = ("loss", "top5")

    def __init__(
        self,
        encoder: EncoderFactory,
        interface: dict[str, Any],
        objectives: list[Objective] | str = "ubp",
        image_side: ImageSideFactory | None = None,
        score_heads: list[str] | None = None,
        warm_start: Literal["none", "ridge", "encoding"] = "none",
        pretrained: str | None = None,
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule = "constant",
        warm_up: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(interface, optimizer, schedule, warm_up, seed)
        self.save_hyperparameters()
        targets = self.target_sizes
        self.image_side = None if image_side is None else image_side(targets)
        sizes = dict(targets)
        if self.image_side is not None:
            sizes[RETRIEVAL] = int(self.image_side.out_features)  # type: ignore[arg-type]
        self.encoder = self.build_encoder(encoder, sizes)
        self.objectives = ObjectiveSum(preset(objectives) if isinstance(objectives, str) else objectives)
        self.score_heads = score_heads or ([RETRIEVAL] if self.image_side is not None else list(targets))
        unknown = [head for head in self.score_heads if head not in sizes]
        if unknown:
            raise ConfigError(f"score_heads: got {unknown[0]!r}, expected some of {', '.join(sizes)}")
        self.pretrained = pretrained
        self.weights_are_loaded = False
        self.register_load_state_dict_post_hook(_note_loading)  # type: ignore[no-untyped-call]
        self.warm_start: Literal["none", "ridge", "encoding"] = warm_start
        self._answers: Answers | None = None

    # -- checkpoints ------------------------------------------------------------------------------------------

    def networks(self) -> dict[str, nn.Module]:
        """Return the encoder, and the image side where there is one."""
        networks: dict[str, nn.Module] = {"encoder": self.encoder}
        if self.image_side is not None:
            networks["image_side"] = self.image_side
        return networks

    def setup(self, stage: str) -> None:
        """Start from pretrained weights or a closed-form decoder if asked to; what is resumed is loaded later."""
        resumed = self._trainer is not None and self._trainer.ckpt_path is not None
        kind = self.warm_start
        if stage == "fit" and self.pretrained is not None and not resumed and not self.weights_are_loaded:
            start_from_pretraining(self.encoder, self.pretrained, self.interface)
        if stage != "fit" or kind == "none" or resumed:
            return
        data = getattr(self._trainer, "datamodule", None)
        if not isinstance(data, BrainDataModule):
            raise ConfigError(f"warm_start: got {kind} with {type(data).__name__}, expected BrainDataModule")
        start_linear_path(self.encoder, data, kind, seed=self._seed)

    @property
    def uses_context(self) -> bool:
        """Whether trials of a sequence see each other, so that scores without that are to be reported too."""
        return any(isinstance(module, Context) for module in self.encoder.modules())

    # -- steps ------------------------------------------------------------------------------------------------

    def forward(self, groups: list[SubjectBatch]) -> EncoderOutput:
        """Encode subject groups; see the encoder."""
        output: EncoderOutput = self.encoder(groups)
        return output

    def references(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the heads are compared with: the targets, and what the image side makes of them."""
        references = dict(targets)
        if self.image_side is not None:
            references[RETRIEVAL] = self.image_side(targets)
        return references

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the objectives, and log its parts."""
        progress = self.progress
        batch = self.objectives.before_encoder(batch, progress)
        total: Tensor
        total, parts = self.objectives(self(batch.groups), self.references(batch.targets), batch, progress)
        self.require_finite(total)
        self.log_means("train", {"loss": total.detach(), **parts}, len(batch))
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score the predictions of a validation batch."""
        self._answer(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Score the predictions of a test batch."""
        self._answer(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Log loss and retrieval among the validation candidates."""
        self._conclude("val")

    def on_test_epoch_end(self) -> None:
        """Log loss and retrieval among the test candidates."""
        self._conclude("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return embeddings in the targets' own spaces, and who and what they belong to.

        Returns
        -------
        dict
            ``embeddings``: array ``(n_trials, *space.shape)`` for every target, and ``retrieval`` in the learned
            space where there is one; ``subject``, ``candidate``, ``repetitions``, ``item``: one entry a row.
        """
        output = self.for_generator(self(batch.groups))
        return {
            "embeddings": self._restored(output),
            "subject": batch.subjects,
            "candidate": list(batch.candidates),
            "repetitions": batch.repetitions.tolist(),
            "item": batch.items.tolist(),
        }

    def gallery(self, data: BrainDataModule, part: Part) -> tuple[list[str], Tensor]:
        """Return the candidates of a part and what the heads that are scored should say to them.

        Parameters
        ----------
        data : BrainDataModule
            Fitted.
        part : str
            ``train``, ``val`` or ``test``.

        Returns
        -------
        names : list of str
        gallery : Tensor of shape (n_names, dim)
        """
        names, rows = data.gallery(part)
        targets = data.reduced_targets()
        found = []
        for begin in range(0, len(rows), GALLERY_ROWS):
            index = torch.from_numpy(rows[begin : begin + GALLERY_ROWS])
            references = self.references({name: values[index].to(self.device) for name, values in targets.items()})
            found.append(side_by_side(references, self.score_heads))
        return names, torch.cat(found)

    def _answer(self, batch: Batch, part: Part) -> None:
        if self._answers is None:
            data = getattr(self._trainer, "datamodule", None)
            if not isinstance(data, BrainDataModule):
                kind = type(data).__name__
                raise ConfigError(f"data: got {kind}, expected BrainDataModule, which knows the candidates")
            self._answers = Answers(*self.gallery(data, part))
        output = self(batch.groups)
        # The last objectives are those that count at the end of training.
        loss, _ = self.objectives(output, self.references(batch.targets), batch, 1.0)
        self._answers.add(
            side_by_side(output.heads, self.score_heads),
            subjects=batch.subjects,
            candidates=batch.candidates,
            loss=loss,
            alone=side_by_side(self(alone(batch.groups)).heads, self.score_heads) if self.uses_context else None,
        )

    def _conclude(self, part: Part) -> None:
        answers, self._answers = self._answers, None
        if answers is not None:
            self.log_means(part, {"loss": answers.loss, **answers.metrics()}, len(answers))

    def for_ranking(self, output: EncoderOutput) -> EncoderOutput:
        """Keep the heads that candidates are ranked by, one a target.

        Where the contrast compares with the targets, as they are or in a linear space of its own, these are its head's,
        as in the published systems; what regresses the targets steers a generator. An image side that cannot carry its
        vectors back to the targets leaves them the targets' own heads.
        """
        split = getattr(self.image_side, "split", None)
        heads = {name: output.heads[name] for name in self.target_sizes}
        return replace(output, heads=heads if split is None else split(output.heads[RETRIEVAL]))

    def for_generator(self, output: EncoderOutput) -> EncoderOutput:
        """Put what a prior draws in the place of the heads that it reads; without one, change nothing."""
        return replace(output, heads={**output.heads, **self.objectives.for_generator(output)})

    def _restored(self, output: EncoderOutput) -> dict[str, NDArray[np.float32]]:
        preparation = self._found_preparation()
        if preparation is None:
            raise ConfigError("checkpoint: got none, expected one with the fitted targets")
        embeddings = {}
        for name, prediction in output.heads.items():
            values = prediction.detach().float().cpu().numpy()
            if name in preparation.reductions:
                space = preparation.space(name)
                frames = (-1,) if space.kind == "series" else ()
                values = preparation.reductions[name].restore(values).reshape(len(values), *frames, *space.shape)
            embeddings[name] = values
        return embeddings

    # -- from Python ------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def decode(
        self,
        subject: str,
        signals: NDArray[np.float32],
        *,
        sequence: NDArray[np.int64] | None = None,
        position: NDArray[np.int64] | None = None,
        ranking: bool = False,
        batch_size: int = 1024,
    ) -> dict[str, NDArray[np.float32]]:
        """Decode signals of one subject.

        Parameters
        ----------
        subject : str
            One of the subjects the encoder was trained for.
        signals : ndarray of float32, shape (n_trials, n_channels, n_times)
            As they are in the prepared study; the transforms fitted in training are applied here.
        sequence, position : ndarray of int, shape (n_trials,), optional
            Number of the sequence (such as the sentence) that each trial belongs to, and its place there from 0: an
            encoder with a context sees them together. Without them every trial is a sequence of its own.
        ranking : bool
            Whether candidates are to be ranked by the embeddings; see :meth:`for_ranking`.
        batch_size : int
            Trials at a time, of whole sequences; a longer sequence is one batch.

        Returns
        -------
        dict of str to ndarray of float32, shape (n_trials, *space.shape)
            An embedding in the target's own space for every target; ``retrieval`` in the learned space, if any.

        Raises
        ------
        MismatchError
            For an unknown subject, signals of another shape, or sequences that do not fit the signals.
        """
        if self.preparation is None:
            raise MismatchError("decode: got a task without fitted transforms, expected one loaded from a checkpoint")
        if not len(signals):
            raise MismatchError("signals: got no trial, expected at least one")
        n_trials = len(signals)
        numbers = np.arange(n_trials) if sequence is None else np.asarray(sequence, dtype=np.int64)
        places = np.zeros(n_trials, dtype=np.int64) if position is None else np.asarray(position, dtype=np.int64)
        if (sequence is None) != (position is None) or numbers.shape != (n_trials,) or places.shape != (n_trials,):
            raise MismatchError(
                f"sequence, position: expected both or none, {n_trials} numbers each as there are signals"
            )
        self.eval()
        parts, batches = [], whole_sequences(numbers, batch_size)
        for rows in batches:
            prepared = self.preparation.apply(subject, np.asarray(signals[rows], np.float32))
            group = SubjectBatch(
                subject,
                torch.from_numpy(prepared).to(self.device),
                torch.from_numpy(numbers[rows]).to(self.device),
                torch.from_numpy(places[rows]).to(self.device),
            )
            output = self([group])
            parts.append(self._restored(self.for_ranking(output) if ranking else self.for_generator(output)))
        order = np.argsort(np.concatenate(batches), kind="stable")
        return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}


def _note_loading(task: nn.Module, _keys: object) -> None:
    assert isinstance(task, DecodeTask)
    task.weights_are_loaded = True
