"""A study in Python: its verdict, numbers, figures and report, and predictions with its networks."""

import html
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairverdict.hidden import refusing
from fairverdict.notebook import png

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.figures.catalogue import Picture
    from analysis.results.load import Group, StudyResults
    from analysis.results.study_folder import StudyFolder
    from analysis.verdict.summary_json import Summary


@dataclass(frozen=True)
class Verdict:
    """Holds the verdict of a study.

    Attributes:
        call: "better", "equivalent" or "not shown"; None if there is no verdict.
        winner: name of the network that is better than every other; None if none is.
        difference: test accuracy of the study's first network minus the second's, once tuned, in [-1, 1]; None
            unless there are two networks.
        ci95: 95 % interval of the difference, or the interval of the look with `seeds="auto"`; its ends are None if it
            has none.
        text: the sentences at the top of the report.
    """

    call: str | None
    winner: str | None
    difference: float | None
    ci95: tuple[float | None, float | None]
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        first, *others = self.text.splitlines()
        return f"<p><b>{html.escape(first)}</b></p>" + "".join(f"<p>{html.escape(line)}</p>" for line in others)


class Study:
    """Looks at a study, finished or not. Its files are read when something is asked for. `Study.open` opens one.

    Attributes:
        folder: its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None = None) -> "Study":
        """Open the study in a folder, or the newest study in ./results.

        Raises:
            ValueError: if there is none, or its study.json is damaged.
        """
        with refusing():
            from analysis.paths import user_path
            from analysis.results.study_folder import StudyFolder
            from analysis.results.study_json import read_study

            found = StudyFolder.newest(Path("results")) if folder is None else StudyFolder.open(user_path(str(folder)))
            read_study(found)
        return cls(found.path.absolute())  # a notebook may change into another folder

    @property
    def config(self) -> dict[str, Any]:
        """Return the settings by name, as `run` takes them."""
        with refusing():
            return dict(self._folder.read_study()["config"])

    @property
    def verdict(self) -> Verdict:
        """Return the verdict, computed from the predictions of the final runs."""
        with refusing():
            from analysis.report.digest import verdict_digest
            from analysis.verdict.comparisons import overall_winner

            summary, pair = self.summary, self.summary.verdict
            return Verdict(
                call=summary.call,
                winner=pair.winner if pair else overall_winner(self._results, summary.comparisons),
                difference=pair.difference.mean if pair else None,
                ci95=pair.difference.ci95 if pair else (None, None),
                text="\n".join(verdict_digest(summary).lines()),
            )

    @cached_property
    def summary(self) -> "Summary":
        """Return the numbers of the report, as in summary.json (docs/summary.schema.json)."""
        with refusing():
            from analysis.verdict.summary import summarise

            return summarise(self._results)

    @property
    def limits(self) -> list[str]:
        """Return the limits of the verdict in sentences, the gravest first, then the parts that the study lacks."""
        from analysis.report.digest import graded, missing_parts

        return [*map(graded, self.summary.caveats), *missing_parts(self._results)]

    @property
    def comparison(self) -> "pd.DataFrame":
        """Return the table of comparison.csv: a row a network and configuration."""
        from analysis.verdict.summary import comparison_table

        return comparison_table(self.summary)

    @property
    def comparisons(self) -> "pd.DataFrame":
        """Return the table of comparisons.csv: a row a pair that was compared, with the interval of its difference."""
        from analysis.report.exports.csv_files import comparisons

        return comparisons(self._results, self.summary)

    @property
    def trials(self) -> "pd.DataFrame":
        """Return a row a trial of the search, as in trials.csv; no rows if nothing was searched."""
        return self._results.trials.copy()

    @property
    def history(self) -> "pd.DataFrame":
        """Return a row an epoch of a trial, as in history.csv; no rows if nothing was searched."""
        return self._results.history.copy()

    @property
    def groups(self) -> list[str]:
        """Return the names of the groups of final runs, such as "alexnet-tuned"."""
        return list(self._results.groups)

    def predictions(self, group: str) -> "pd.DataFrame":
        """Return a row a test image: its class (`label`) and the predicted class of each final run (`seed-0`, ...).

        Args:
            group: one of `groups`.
        """
        import numpy as np
        import pandas as pd

        found, classes = self._group(group), np.array(self._results.classes, object)
        columns = {f"seed-{seed}": classes[row] for seed, row in zip(found.seeds, found.predictions(), strict=True)}
        return pd.DataFrame({"label": classes[found.labels], **columns}).rename_axis("image")

    def predict(self, images: Any, *, arch: str | None = None, run: str | None = None) -> "pd.DataFrame":
        """Predict images as `python -m study.predict` does, with the same probabilities to the bit.

        A network that the study's own code registered must be registered in this session, too.

        Args:
            images: a file, a folder, a pattern or a list of them; or an array uint8 [n, height, width, 3], a PIL image,
                or a list of PIL images.
            arch: name of a network: its tuned run with the lowest validation loss predicts.
            run: name of the final run that predicts, such as "mobilenet-tuned/seed-3". Without a name the winner does.

        Returns:
            A row an image, named by its file or its number, and a column a class: the probability.

        Raises:
            ValueError: if an image cannot be read, or there is no such network.
        """
        with refusing():
            from fairverdict.images import predict

            return predict(self._folder, images, self._best_run(arch) if run is None and arch is not None else run)

    @property
    def figures(self) -> list[str]:
        """Return the names of the report's figures."""
        return list(self._pictures)

    def figure(self, name: str) -> "Figure":
        """Return a figure of the report, which a notebook shows."""
        picture = self._pictures[_known("figure", name, self._pictures)]
        # A notebook asks for it, unless Matplotlib's own display is loaded there.
        setattr(picture.wide, "_repr_png_", partial(png, picture))  # noqa: B010
        return picture.wide

    def report(self) -> Path:
        """Build report.html anew from the folder, as `python -m analysis.report` does, and return its path."""
        with refusing(), warnings.catch_warnings():
            # Optuna looks for a progress bar that no report shows.
            warnings.filterwarnings("ignore", message="IProgress not found")
            from analysis.report.build import build_report

            return build_report(self._folder)

    def __repr__(self) -> str:
        return f"<Study {self.folder.name!r}>"

    def _repr_html_(self) -> str:
        with refusing():
            from analysis.report.digest import describe_study

            return f"<p>{html.escape(describe_study(self._results))}</p>{self.verdict._repr_html_()}"

    @property
    def _folder(self) -> "StudyFolder":
        from analysis.results.study_folder import StudyFolder

        return StudyFolder(self.folder)

    @cached_property
    def _results(self) -> "StudyResults":
        with refusing():
            from analysis.results.load import load_results

            return load_results(self._folder)

    @cached_property
    def _pictures(self) -> "dict[str, Picture]":
        from analysis.figures.catalogue import study_pictures

        pictures = study_pictures(self._results, self.summary)
        return {picture.name: picture for members in pictures.values() for picture in members}

    def _group(self, name: str) -> "Group":
        return self._results.groups[_known("group", name, self._results.groups)]

    def _best_run(self, arch: str) -> str:
        """Return the name of a network's tuned run with the lowest validation loss; a baseline's if none was tuned."""
        from analysis.verdict.shipping.chosen_run import choose_run

        _known("network", arch, self._results.architectures)
        group = self._results.group(arch, "tuned") or self._group(f"{arch}-baseline")
        if (chosen := choose_run(group)) is None:
            raise ValueError(f"no final run of {group.title} has a validation loss, so none of them can be chosen")
        return chosen.name


def _known(kind: str, name: str, known: Sequence[str] | dict[str, Any]) -> str:
    """Return a name that is known. Raise ValueError, with the nearest name, for another one."""
    if name in known:
        return name
    alike = get_close_matches(name, known, n=1)
    others = f"choose from {', '.join(known)}" if known else "it has none"
    raise ValueError(f"the study has no {kind} {name!r}: {f'did you mean {alike[0]}?' if alike else others}")
