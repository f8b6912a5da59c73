"""The references of the methods that a study used."""

import re
from pathlib import Path

from analysis.report.search_tables import draws_surfaces, study_rungs
from analysis.results.load import StudyResults
from analysis.verdict.summary_json import Summary

_BIBLIOGRAPHY = Path(__file__).parents[1] / "templates" / "references.bib"
# The paper of a network by the network's name.
_NETWORKS = {"alexnet": "krizhevsky2012alexnet", "mobilenet": "howard2017mobilenets"}


def used_references(results: StudyResults, summary: Summary) -> list[str]:
    """Return the BibTeX keys of the methods that the study used, sorted."""
    keys = {_NETWORKS[arch] for arch in results.architectures if arch in _NETWORKS} | {"fairverdict", "liaw2018tune"}
    if len(results.trials):
        keys.add("akiba2019optuna")
    if len(results.trials) and draws_surfaces(results.study):
        keys.add("kandasamy2018parallelised")
    if len(results.trials) and study_rungs(results.study):
        keys.add("li2020asha")
    if summary.comparisons:
        keys |= {"holm1979simple", "bouthillier2021accounting", "welch1947generalization"}
    recipe = results.study.config.recipe
    if recipe.get("optimizer") == "adamw":
        keys.add("loshchilov2019decoupled")
    if recipe.get("schedule") == "cosine":
        keys.add("loshchilov2017sgdr")
    return sorted(keys)


def bibtex(keys: list[str]) -> str:
    """Return the entries with these keys."""
    entries = _BIBLIOGRAPHY.read_text().strip().split("\n\n")
    found = {key[1]: entry for entry in entries if (key := re.match(r"@\w+\{(\w+),", entry))}
    return "\n\n".join(found[key] for key in keys) + "\n"
