"""LightningCLI as this program uses it: fit, validate, test and predict with one-line errors."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger

from neurodecode.core.errors import ConfigError, MismatchError, suggestion
from neurodecode.core.progress import is_watched
from neurodecode.training.checkpoints import read_checkpoint
from neurodecode.training.config_options import compose_options
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.parse_errors import causes, found_error, one_line, weights_line
from neurodecode.training.predictions import write_predictions
from neurodecode.training.quiet import quiet_lightning
from neurodecode.training.short_names import import_built_ins


class SaveConfigOnceSound(SaveConfigCallback):
    """Save the configuration when the run begins: a checkpoint that is refused before leaves the folder as it was."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Wait."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        super().setup(trainer, pl_module, "fit")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save unless it was."""
        super().setup(trainer, pl_module, "validate")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        super().setup(trainer, pl_module, "test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        super().setup(trainer, pl_module, "predict")


SUBCOMMANDS = ("fit", "validate", "test", "predict")
SPECIAL_CHECKPOINTS = ("best", "last", "hpc", "registry")


class CommandLine(LightningCLI):
    """One task, one data module and a trainer, from configuration files and options."""

    watched = False

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Give the task what the data module knows about the data; the classes most people want are the default."""
        usual = {"model": DecodeTask, "data": BrainDataModule}
        parser.set_defaults({key: {"class_path": _path(kind)} for key, kind in usual.items()})
        # The card of a recipe stands in its file and is kept with the configuration; nothing reads it here.
        parser.add_argument("--recipe", type=_as_it_is, default=None, help="Where the recipe comes from.")
        # A task or a data module without these is left alone.
        parser.link_arguments("data.interface", "model.init_args.interface", apply_on="instantiate")
        parser.link_arguments("seed_everything", "model.init_args.seed", compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Refuse what cannot be meant before anything is built or written."""
        checkpoint = self._get(self.config, "ckpt_path")
        if checkpoint is not None and str(checkpoint) not in SPECIAL_CHECKPOINTS:
            if not str(checkpoint):
                raise ConfigError("--ckpt_path: got an empty text, expected a checkpoint")
            read_checkpoint(checkpoint)
        trainer = self._get(self.config, "trainer")
        for key in ("max_epochs", "max_steps"):
            if self.subcommand == "fit" and trainer.get(key) == 0:
                raise ConfigError(f"--trainer.{key}: got 0, expected at least 1: nothing would be trained or written")
        require_accelerator(trainer.get("accelerator"))

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as it was given: a checkpoint that does not fit it is refused, not obeyed."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Choose logger, precision and progress bar where the configuration leaves them open."""
        settings = self._get(self.config_init, "trainer", default={})
        root = settings.get("default_root_dir") or "outputs/training"
        kwargs["default_root_dir"] = root
        if settings.get("logger") in (None, True):
            # The folder itself is the training: metrics.csv and config.yaml lie in it, checkpoints/ beside them. What
            # other commands write goes to a folder of theirs, so that it does not replace the training's.
            name = "" if self.subcommand == "fit" else str(self.subcommand)
            kwargs["logger"] = CSVLogger(save_dir=root, name=name, version="")
        if settings.get("precision") is None and torch.cuda.is_available() and torch.cuda.is_bf16_supported():
            kwargs["precision"] = "bf16-mixed"
        given = settings.get("callbacks") or []
        callbacks = [given] if isinstance(given, Callback) else list(given)
        bars = [callback for callback in callbacks if isinstance(callback, ProgressBar)]
        shown = settings.get("enable_progress_bar") is not False and (self.watched or bool(bars))
        if not shown:
            callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
            kwargs.update(enable_progress_bar=False, enable_model_summary=False)
        elif not bars:
            callbacks.append(RichProgressBar())
        kwargs["callbacks"] = callbacks
        # The data module deals its batches to processes itself.
        if settings.get("use_distributed_sampler") is None or isinstance(self.datamodule, BrainDataModule):
            kwargs["use_distributed_sampler"] = not isinstance(self.datamodule, BrainDataModule)
        return super().instantiate_trainer(**kwargs)

    def before_test(self) -> None:
        """Ask for a checkpoint where there is no use in going on without one."""
        if isinstance(self.datamodule, BrainDataModule) and self._get(self.config, "ckpt_path") is None:
            raise ConfigError("--ckpt_path: got none, expected a checkpoint: nothing was fitted for this evaluation")

    before_validate = before_predict = before_test

    def after_fit(self) -> None:
        """Say where the result is."""
        callback = self.trainer.checkpoint_callback
        if self.trainer.is_global_zero and isinstance(callback, ModelCheckpoint):
            best = callback.best_model_path or callback.last_model_path or "none was written"
            reached = callback.best_model_score
            print(f"Checkpoint: {best}" + ("" if reached is None else f" ({callback.monitor} {reached:.4f})"))

    def predict(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Write the embeddings of a part of the fold, with their table."""
        if not isinstance(model, DecodeTask) or not isinstance(datamodule, BrainDataModule):
            raise ConfigError(
                f"predict: got {type(model).__name__} with {type(datamodule).__name__}, "
                "expected DecodeTask with BrainDataModule"
            )
        kwargs["return_predictions"] = True
        found: list[Any] = self.trainer.predict(model, datamodule=datamodule, **kwargs) or []
        if self.trainer.is_global_zero:
            folder = Path(self.trainer.default_root_dir) / "predictions"
            write_predictions(folder, found, model, datamodule)
            print(f"Predictions: {folder}")


def run(subcommand: str, arguments: Sequence[str]) -> CommandLine | None:
    """Run a command of Lightning.

    Parameters
    ----------
    subcommand : str
        One of `SUBCOMMANDS`.
    arguments : sequence of str
        Options; ``--help`` and ``--print_config`` print and return None.

    Returns
    -------
    CommandLine or None
        With the model, the data module and the trainer after the run.

    Raises
    ------
    ConfigError
        For options and files that cannot be read, in one line.
    DataError
        For a checkpoint that is not a whole one.
    KeyboardInterrupt
        When the user interrupted the training.
    """
    if subcommand not in SUBCOMMANDS:
        raise ConfigError(f"command: got {subcommand!r}, expected one of {', '.join(SUBCOMMANDS)}")
    import_built_ins()
    words = [subcommand, *arguments]
    composed = compose_options(words)
    watched = is_watched()
    interrupted: list[bool] = []
    try:
        # jsonargparse and LightningCLI look at the process's own arguments, which may be somebody else's.
        with quiet_lightning(watched=watched), mock.patch.object(sys, "argv", ["neurodecode"]):
            return _run(composed, watched=watched, interrupted=interrupted)
    except SystemExit as error:
        if any(interrupted):
            raise KeyboardInterrupt from None
        if error.code in (0, None):
            return None
        raise ConfigError(f"{subcommand}: {error.code}") from error
    except argparse.ArgumentError as error:
        own = found_error(error)
        raise own if own is not None else ConfigError(one_line(error, words)) from error
    except Exception as error:
        own = found_error(error)
        if own is not None and own is not error:
            raise own from error
        refused = next((cause for cause in causes(error) if isinstance(cause, MisconfigurationException)), None)
        if refused is not None:
            raise ConfigError(f"{subcommand}: {refused}") from error
        if own is None and isinstance(error, ValueError) and "ckpt_path" in str(error):
            raise ConfigError(f"--ckpt_path: {error}") from error
        if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
            raise ConfigError("batch_size: got a batch of one row, whose batch norm has no spread; raise it") from error
        if isinstance(error, RuntimeError) and "loading state_dict" in str(error):
            raise MismatchError(f"checkpoint: {weights_line(str(error))}") from error
        raise


def _run(words: list[str], *, watched: bool, interrupted: list[bool]) -> CommandLine:
    class Watched(CommandLine):
        def _run_subcommand(self, subcommand: str) -> None:
            try:
                super()._run_subcommand(subcommand)
            finally:
                interrupted.append(bool(self.trainer.interrupted))

    Watched.watched = watched
    strict = {"exit_on_error": False, "prog": "neurodecode"}
    return Watched(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        save_config_callback=SaveConfigOnceSound,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={
            **strict,
            **{name: {"exit_on_error": False, "prog": f"neurodecode {name}"} for name in SUBCOMMANDS},
        },
        args=words,
    )


def require_accelerator(wanted: object) -> None:
    """Refuse an accelerator that this machine has not.

    Raises
    ------
    ConfigError
        Naming those it has.

    Examples
    --------
    >>> require_accelerator("cpu")
    """
    if not isinstance(wanted, str) or wanted == "auto":
        return
    known = AcceleratorRegistry.available_accelerators()
    has = [name for name in known if AcceleratorRegistry[name]["accelerator"].is_available()]
    has += ["gpu"] if {"cuda", "mps"} & set(has) else []
    if wanted not in has:
        found = f"auto or what this machine has: {', '.join(has)}"
        raise ConfigError(f"--trainer.accelerator: got {wanted!r}, expected {found}{suggestion(wanted, has)}")


def _as_it_is(card: Any) -> Any:
    """Keep a card: the parser would read `title: subtitle` within a text as a mapping."""
    return card


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
