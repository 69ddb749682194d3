"""Logs of Presentation: two tables that must agree, and a clock that is matched with triggers or refused."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError
from neurodecode.datasets.miniatures.schoffelen2019 import log_text, schedule
from neurodecode.datasets.presentation_logs import match_clocks, read_log, to_recording


def written(folder: Path, text: str) -> Path:
    path = folder / "MEG-MOUS-AudA2002.log"
    path.write_bytes(text.encode())
    return path


def test_a_log_is_read_in_seconds(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, log_text("A2005")))
    expected = schedule("A2005")
    assert log["code"].tolist() == [code for _, _, code in expected]
    assert log["event"].tolist() == [kind for _, kind, _ in expected]
    assert log["time"].iloc[0] < 0
    np.testing.assert_allclose(log["time"], [time * (1 + 2e-5) - 71.3 for time, _, _ in expected], atol=6e-5)
    assert log["line"].iloc[0] == 6


def test_a_log_written_twice_and_other_line_ends_are_the_same(tmp_path: Path) -> None:
    text = log_text("A2002")
    once = read_log(written(tmp_path, text))
    assert read_log(written(tmp_path, text * 2)).equals(once)
    assert read_log(written(tmp_path, text.replace("\r\n", "\n"))).equals(once)


def test_a_row_broken_after_a_full_stop_is_mended(tmp_path: Path) -> None:
    text = log_text("A2002").replace("15 End of file", "15 End of file.")
    whole = read_log(written(tmp_path, text))
    broken = read_log(written(tmp_path, text.replace("End of file.", "End of file.\r\n")))
    assert broken["code"].tolist() == whole["code"].tolist()
    assert broken["time"].tolist() == whole["time"].tolist()


def change_second(text: str, old: str, new: str) -> str:
    head, tail = text[: text.rindex("RT Uncertainty")], text[text.rindex("RT Uncertainty") :]
    assert old in tail
    return head + tail.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Logfile\n", "no line begins with 'Scenario -', expected a log of Presentation"),
        ("Scenario - x\nA\tB\n", "no header with a column 'Uncertainty', expected two tables"),
        (log_text("A2002").split("\r\n\r\n\r\n")[0], "no header with a column 'Uncertainty', expected two tables"),
        (
            change_second(log_text("A2002"), "FIX 3514", "FIX 3515"),
            r"line \d+: Code is 'FIX 3515', expected 'FIX 3514' as in line \d+",
        ),
        (
            change_second(log_text("A2002"), "Nothing\t2 target", "Other\t2 target"),
            r"line \d+: Event Type is 'Other', expected 'Nothing'",
        ),
        (
            log_text("A2002").rstrip().rsplit("\r\n", 1)[0],
            r"47 rows of Picture, Sound, Nothing .* 46 rows in the second",
        ),
        (log_text("A2002").replace("Code", "Kode", 1), "the first table has no column 'Code'"),
        (log_text("A2002").replace("Response\t1\t", "Response\t1\tx"), r"line \d+: Time is 'x\d+'"),
    ],
)
def test_broken_logs_are_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_log(written(tmp_path, text))


def test_unreadable_logs_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.log: no such file"):
        read_log(tmp_path / "nothing.log")
    path = tmp_path / "a.log"
    path.write_bytes(b"Scenario - caf\xe9")
    with pytest.raises(DataError, match=r"a\.log: not readable as text"):
        read_log(path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(alphabet="Scenario -\t\nUncertainty.0x", max_size=120))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(DataError):
            read_log(written(Path(folder), "Scenario - a\n" + text))


def clocks(n_events: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.uniform(3, 9, n_events))
    return times, generator.choice([10, 20], n_events, p=[0.2, 0.8])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(15, 80), st.integers(0, 999), st.floats(-900, 900), st.floats(-2e-5, 2e-5))
def test_the_right_trigger_is_found_whatever_is_missing(n_events: int, seed: int, delay: float, drift: float) -> None:
    times, kinds = clocks(n_events, seed)
    generator = np.random.default_rng(seed + 1)
    lost = generator.choice(n_events, n_events // 15, replace=False)
    there = np.setdiff1d(np.arange(n_events), lost)
    triggers = times[there] * (1 + drift) + delay + generator.uniform(-1e-3, 1e-3, len(there))
    more = generator.uniform(triggers[0], triggers[-1], 2)
    values = np.concatenate([triggers, more])
    order = np.argsort(values)
    sent = np.concatenate([kinds[there], [20, 10]])[order]
    rows, found = match_clocks(times, kinds, values[order], sent, where="a.log")
    wrong = [
        (row, at) for row, at in zip(rows, found, strict=True) if order[at] >= len(there) or there[order[at]] != row
    ]
    assert len(wrong) <= 1, "only a foreign trigger next to a lost one can be taken for it"
    if not wrong:
        assert rows.tolist() == there.tolist()
        inside = to_recording(times, times[rows], values[order][found])
        np.testing.assert_allclose(inside, times * (1 + drift) + delay, atol=5e-3)


def test_a_match_that_proves_nothing_is_refused() -> None:
    times, kinds = clocks(40, 0)
    with pytest.raises(
        DataError, match=r"x: \d+ of 40 events found among 40 triggers, expected at least 36; the first"
    ):
        match_clocks(times, kinds, clocks(40, 1)[0], kinds, where="x")
    with pytest.raises(DataError, match="x: 40 events in the log and 0 triggers, expected some"):
        match_clocks(times, kinds, times[:0], kinds[:0], where="x")
    regular = 5.0 * np.arange(40)
    same = np.full(40, 20)
    with pytest.raises(DataError, match="x: another delay of the clocks fits 39 pairs, the best one 40: ambiguous"):
        match_clocks(regular, same, regular, same, where="x")
    jumped = times + np.where(np.arange(40) > 20, 0.2, 0.0)
    with pytest.raises(DataError, match=r"x: the delay of the clocks jumps by 0\.200 s at event 22"):
        match_clocks(times, kinds, jumped, kinds, where="x")
