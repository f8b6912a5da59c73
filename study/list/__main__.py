"""Lists studies, and the checkpoints in a shared storage that no study claims: `python -m study.list`."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command import typed_command
from analysis.paths import user_path
from study.errors import BadInput, StorageFailed, say_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog=typed_command("study.list"),
        description="List the studies, and the checkpoints in a storage that none of them claims.",
    )
    parser.add_argument(
        "--results-dir",
        metavar="DIR",
        type=user_path,
        default=Path("results"),
        help="folder of the studies (default: results)",
    )
    parser.add_argument("--storage", metavar="URI", help="look there for checkpoints, as study.run writes them")
    parser.add_argument("--remove", metavar="NAME", nargs="+", default=[], help="remove these folders of checkpoints")
    options = parser.parse_args(arguments)
    if options.remove and options.storage is None:
        parser.error("--remove needs --storage")

    from analysis.results.files import DamagedFile  # here, because --help need not wait for pandas

    try:
        studies = _list_studies(options.results_dir)
        if options.storage is not None:
            _list_storage(studies, options.results_dir, _absolute(options.storage), options.remove)
    except BadInput as error:
        say_error(f"error: {error}")
        return 2
    except (DamagedFile, StorageFailed) as error:
        say_error(f"error: {error}")
        return 1
    return 0


def _list_studies(results_dir: Path) -> list[dict[str, object]]:
    """Print the studies by the begin of their last sessions. Return the contents of every study.json.

    Raises:
        DamagedFile: after the list is printed, if a study.json cannot be read.
    """
    from analysis.results.files import DamagedFile
    from analysis.results.study_folder import StudyFolder
    from study.list.studies import studies_text

    found: list[tuple[str, Path, dict[str, object]]] = []
    damaged: list[tuple[Path, DamagedFile]] = []
    for path in (file.parent for file in results_dir.glob("*/study.json")):
        try:
            found.append((StudyFolder(path).worked_on(), path, StudyFolder(path).read_study()))
        except DamagedFile as error:
            damaged.append((path, error))
    found.sort(key=lambda entry: entry[:2])
    paths = [*sorted(path for path, _ in damaged), *(path for _, path, _ in found)]
    print(studies_text([StudyFolder(path) for path in paths]) if paths else f"There is no study in {results_dir}")
    if damaged:
        raise damaged[0][1]
    return [study for _, _, study in found]


def _list_storage(studies: Sequence[dict[str, object]], results_dir: Path, storage: str, remove: Sequence[str]) -> None:
    """Print the checkpoints that no study claims, or remove some of them. Raises BadInput or StorageFailed."""
    from study.storage.leftovers import unclaimed
    from study.storage.object_store import ObjectStore

    try:
        found = {leftover.name: leftover for leftover in unclaimed(studies, storage)}
    except ValueError as error:
        raise BadInput(f"--storage: {error}") from error
    for name in remove:
        if name not in found:
            raise BadInput(f"--remove: {name} is not a folder of checkpoints in {storage} that no study claims")
    for name in remove:
        ObjectStore(storage, name).clear()
        print(f"Removed {name} from {storage}")
    if remove:
        return
    if not found:
        print(f"Every folder of checkpoints in {storage} belongs to a study in {results_dir}")
        return
    print(f"No study in {results_dir} claims these checkpoints in {storage}:")
    for leftover in found.values():
        files = f"{leftover.files} file{'s' * (leftover.files > 1)}"
        print(f"{leftover.name}  {files}, {leftover.size / 1e6:,.1f} MB, newest {leftover.newest:%Y-%m-%d %H:%M} UTC")
    words = [
        *typed_command("study.list").split(),
        "--results-dir",
        str(results_dir),
        "--storage",
        storage,
        "--remove",
        *found,
    ]
    print(f"If no study elsewhere needs them, remove them: {shlex.join(words)}")


def _absolute(storage: str) -> str:
    return storage if "://" in storage else str(user_path(storage).absolute())


if __name__ == "__main__":
    sys.exit(main())
