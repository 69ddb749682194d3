"""Write the report of a result again."""

from pathlib import Path

from neurodecode.core.errors import DataError


def run(results_folder: str) -> None:
    """Write ``report.html`` and its figures anew from what a run folder holds.

    Parameters
    ----------
    results_folder : str
        Folder with ``results.json``. Where ``scores.npz`` with its tables and ``pictures.npz`` stand beside it, their
        figures and picture grids are drawn too; other figures that the run left in ``figures/`` are kept.
    """
    folder = Path(results_folder)
    if not folder.is_dir():
        raise DataError(f"results_folder: {folder} is no folder, expected one with results.json")

    from neurodecode.core.progress import progress_bar
    from neurodecode.core.results import Results
    from neurodecode.evaluation.figures import standard_figures
    from neurodecode.evaluation.pictures import load_pictures
    from neurodecode.evaluation.report import write_report
    from neurodecode.workflow.records import answers_of
    from neurodecode.workflow.run_folder import RankingTables

    with progress_bar("writing the report", total=3) as advance:
        results = Results.from_json(folder / "results.json")
        pictures = load_pictures(folder / "pictures.npz") if (folder / "pictures.npz").is_file() else []
        # By stimulus is enough here: units count for intervals and nulls, and figures of answers have none.
        ranked = (folder / "scores.npz").is_file()
        answers = answers_of(RankingTables.load(folder), by_unit=False) if ranked else {}
        advance()
        drawn = standard_figures(results, answers, pictures)
        kept = {
            path.stem: path.read_bytes()
            for path in sorted((folder / "figures").glob("*.png"))
            if path.stem not in drawn and not path.name.startswith(".")
        }
        advance()
        page = write_report(results, {**drawn, **kept}, pictures, folder)
        advance()
    print(f"report: {page}")
