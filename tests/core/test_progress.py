"""The progress bar: two plain lines where nobody watches, a drawn bar on a terminal."""

import io

import pytest

from neurodecode.core import progress
from neurodecode.core.progress import is_watched, progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("embedding", total=2) as advance:
        advance()
        advance(1, description="more")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "embedding ..."
    assert lines[1].startswith("embedding: 2 of 2 in ")
    assert len(lines) == 2


def test_plain_lines_without_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("waiting"):
        pass
    assert capsys.readouterr().out.splitlines()[1].startswith("waiting: 0.")


def test_stopped_work_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress_bar("embedding", total=2) as advance:
            advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "embedding: stopped, 1 of 2" in capsys.readouterr().out


def test_a_terminal_is_watched_unless_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    assert is_watched()
    monkeypatch.setenv("CI", "true")
    assert not is_watched()


@pytest.mark.parametrize("total", [3, None])
def test_bar_on_a_terminal(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    with progress_bar("drawing", total=total) as advance:
        for _ in range(3):
            advance()
    assert "drawing" in terminal.getvalue()
    assert ("3/3" in terminal.getvalue()) == (total is not None)
