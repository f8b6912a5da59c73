"""Makes pages of the site from the README, other files of the project, and the commands' --help.

mkdocs.yml names this file. The pages of docs/ stay readable as they are: links that leave docs/ are turned here.
"""

import posixpath
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from study.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
# Pages that are made of a file outside docs/, by the file's path in the project.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "results.md",
    "models/kernels/README.md": "kernels.md",
}
EXAMPLES, COMMANDS_PAGE, REFERENCE = "examples.md", "commands.md", "reference.md"
# Modules, classes and functions of the page REFERENCE, by heading. A module shows its public members.
PYTHON = {
    "Compare two networks by their predictions": ["analysis.statistics.comparison"],
    "Networks": ["models.networks.registry"],
    "Recipes": ["models.training.recipe"],
    "Images": ["models.images.reading"],
    "The study folder": [
        *("analysis.results.study_folder.StudyFolder", "analysis.results.load.load_results"),
        "analysis.results.load.StudyResults",
    ],
    "summary.json": ["analysis.verdict.summary_json"],
}
_FILES = {page: file for file, page in PAGES.items()}
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
_IMAGE = re.compile(r'(?<=src=")docs/')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    made = {page: (ROOT / file).read_text() for file, page in PAGES.items()}
    made |= {EXAMPLES: _examples(), COMMANDS_PAGE: _commands(), REFERENCE: _reference()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the project into links to pages, or to copies of the files."""
    source = _FILES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        return _turned(target, files, config) + (link[2] or "" if not target.startswith("examples") else "")

    return _LINK.sub(turned, _IMAGE.sub("", markdown))


def _turned(target: str, files: Files, config: MkDocsConfig) -> str:
    """Return the path on the site of a file of the project, which is copied there unless it is a page."""
    if target in PAGES:
        return PAGES[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    if target == "examples" or target.startswith("examples/"):
        return EXAMPLES
    copy = f"files/{target}"
    if files.get_file_from_path(copy) is None and (ROOT / target).is_file():
        files.append(File.generated(config, copy, abs_src_path=str(ROOT / target)))
    return copy


def _examples() -> str:
    """Return a page with each file of examples/."""
    page = ["# Examples", "", "Each study file is run as `python -m study.run --config examples/NAME`."]
    for path in sorted((ROOT / "examples").glob("*.*")):
        language = {".py": "python"}.get(path.suffix, path.suffix[1:])
        page += ["", f"## {path.name}", "", f"```{language}", path.read_text().rstrip(), "```"]
    return "\n".join(page) + "\n"


def _reference() -> str:
    """Return a page of mkdocstrings' directives, which become docstrings and signatures."""
    page = ["# Python reference", "", "These functions and classes are for other programs, too."]
    for title, names in PYTHON.items():
        page += ["", f"## {title}"]
        for name in names:
            is_module = (ROOT / f"{name.replace('.', '/')}.py").exists()
            page += ["", f"::: {name}", "    options:", f"      show_root_heading: {str(not is_module).lower()}"]
            page += ["      show_root_toc_entry: false"] if is_module else []
    return "\n".join(page) + "\n"


def _commands() -> str:
    """Return a page with the --help of each command."""
    with ThreadPoolExecutor() as pool:
        shown = dict(zip(COMMANDS, pool.map(_help, (module for module, _ in COMMANDS.values())), strict=True))
    page = ["# Commands", "", "`fairverdict COMMAND` and `python -m MODULE` are the same."]
    for name, (module, purpose) in COMMANDS.items():
        command = module.removesuffix(".__main__")
        page += ["", f"## {name}", "", f"`python -m {command}`: {purpose}.", "", "```text", shown[name].rstrip(), "```"]
    return "\n".join(page) + "\n"


def _help(module: str) -> str:
    command: list[Any] = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, env={"COLUMNS": "100"}, capture_output=True, text=True, check=True).stdout
