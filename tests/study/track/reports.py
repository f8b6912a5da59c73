"""Writes the parts of a report that trackers show, without its figures."""

from pathlib import Path

from analysis.results.files import write_json, write_text
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.summary import summarise


def write_report(folder: StudyFolder) -> Path:
    """Write summary.json as a report has it, and a page. Return the page."""
    summary = summarise(load_results(folder)).as_json()
    write_json(folder.report / "summary.json", summary)
    write_text(folder.report / "report.html", f"<p>{summary['headline']}</p>")
    return folder.report / "report.html"
