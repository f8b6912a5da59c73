"""The studies of `--searches K`: each repeats the searches and the final runs under a seed of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from analysis.results.study_folder import StudyFolder
from study.cli.command_line import Options
from study.errors import BadInput
from study.storage.claim import check_free, check_name

# A study takes minutes at least.
_MOST = 100


@dataclass(frozen=True)
class Repetition:
    """Names the studies of one command, which are carried out one after the other.

    Attributes:
        folder: folder of the comparison. The studies lie beside it, and their names end in -1, -2, ...
        count: number of the studies, at least 2.
    """

    folder: Path
    count: int

    @property
    def paths(self) -> list[Path]:
        """Return the folders of the studies."""
        return [self.folder.with_name(f"{self.folder.name}-{number}") for number in range(1, self.count + 1)]

    def words(self, number: int, arguments: Sequence[str], options: Options) -> list[str]:
        """Return the command line of one study, after those before it.

        A study that is to go on and has not begun takes the settings of the first.

        Args:
            number: the study's place, from 0.
            arguments: the words of the whole command line.
            options: the settings that these words give.
        """
        path = self.paths[number]
        has_seed = _without(arguments, "--seed") != [*arguments]
        own = _without(_without(arguments, "--name"), "--seed")
        seed = options.seed if has_seed or not options.resume else None
        is_begun = (path / "study.json").exists()
        if options.resume and number and not is_begun:
            own += ["--config", str(self.paths[0] / "study.json")]
            seed = StudyFolder(self.paths[0]).read_study()["config"]["seed"] if seed is None else seed
        if not is_begun and options.train_size is not None and options.train_seed is None:
            own += ["--train-seed", str(options.seed)]  # all of them train on the same images
        return [*own, "--name", path.name, *([] if seed is None else ["--seed", str(seed + number)])]


def repetition_of(options: Options) -> Repetition:
    """Return the studies that `--searches` asks for, if it is not 1.

    Raises:
        BadInput: if these settings cannot be repeated, or a new study's name is taken.
    """
    if not 1 <= options.searches <= _MOST:
        raise BadInput(f"--searches must be 1 to {_MOST}, not {options.searches}")
    if options.baseline:
        raise BadInput("--searches repeats the searches, and --baseline has none: leave one of them out")
    if options.from_study is not None:
        raise BadInput("--searches needs independent searches, and --from gives all of them the same trials")
    if not options.resume and len(options.archs) < 2:
        raise BadInput("--searches compares networks over their searches: give two or more by --archs")
    if options.resume and options.name is None:
        raise BadInput("--resume --searches goes on with several studies: say which by --name")
    name = options.name or f"{options.dataset.replace(':', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
    made = Repetition(options.results_dir / check_name(name), options.searches)
    if not options.resume:
        for path in (made.folder, *made.paths):
            check_free(options.results_dir, path.name)
    elif (made.folder / "study.json").exists():
        raise BadInput(f"{made.folder} is one study: go on with it without --searches")
    return made


def _without(words: Sequence[str], flag: str) -> list[str]:
    """Return the words without a flag and its value."""
    kept = []
    is_value = False
    for word in words:
        if not is_value and word != flag and not word.startswith(f"{flag}="):
            kept.append(word)
        is_value = not is_value and word == flag
    return kept
