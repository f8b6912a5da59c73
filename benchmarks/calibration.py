"""How often is the verdict wrong, and how often does it see a difference that is there?

    python -m benchmarks.calibration

simulates studies of two networks from a known model, with new seeds and new test images each time, and prints how
often `analysis.statistics.compare` calls a network better, rightly and wrongly, and how often its intervals hold the
truth. As in a study's verdict, a "better" also has to hold without the runs that failed.

The model is a probit one. Network g with seed s classifies image i rightly if

    mu_g + image_gi + seed_gs + noise_gsi > 0

with normal terms. The image effects of the two networks are correlated, because both find the same images hard. A
setting states an accuracy, the deviation between seeds and the per-image deviation of the difference, and the variances
of the terms are solved for these. Equal networks have equal expected accuracy.

Three settings are harder. In "few errors" network A is always right and B errs on few images, in nine runs of ten: the
difference then depends on few images. In the two others the seeds of network A are not normal, although t intervals
assume it: they are skewed (equal networks are then 0.03 points apart), or some runs collapse.

    python -m benchmarks.calibration --real

runs 20 small real studies instead, each with one network under two names (benchmarks/twins.py).
"""

import argparse
import json
import math
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import optimize, stats

from analysis.paths import user_path
from analysis.results.files import without_nan
from analysis.statistics.comparison import compare
from analysis.statistics.two_way_layout import proportion_interval
from analysis.verdict.failed_runs import SoundPair, beats_chance, compare_sound, hold_without_failures
from benchmarks.twins import run_twin_study
from study.settings.config import StudyConfig

SEEDS = (3, 5, 10, 20)
# The true differences in accuracy; the margin is 0.005.
DIFFERENCES = (0.0, 0.005, 0.01, 0.02)
# In a setting with collapsing runs, the share of runs that collapse, and their accuracy.
COLLAPSE, GUESSING = 0.1, 0.1
STUDIES_A_TASK = 500
TWIN_STUDIES = 20

Seeds = Literal["normal", "skewed", "collapsing"]


@dataclass(frozen=True)
class Setting:
    """Describes the studies of one setting by their moments.

    Attributes:
        n_images: number of test images.
        accuracy: expected accuracy of the weaker network, in (0, 1).
        seed_sd: standard deviation of a network's accuracy between seeds.
        image_sd: standard deviation over images of the difference in the networks' chances to be right.
        consistency: share of the variance of "classified rightly" that lies between images, the same for every seed.
        studies: number of studies to simulate; more studies give a smaller Monte-Carlo error.
        seeds_of_a: distribution of network A over seeds. "normal" is the same as for B. "skewed" has an exponential
            tail to the left, and B does not vary. "collapsing" is normal, but a share COLLAPSE of A's runs guesses.
    """

    name: str
    n_images: int
    accuracy: float
    seed_sd: float
    image_sd: float
    consistency: float
    studies: int
    seeds_of_a: Seeds = "normal"

    def model(self, difference: float) -> "ProbitModel | None":
        """Returns a model in which network A is ahead by `difference`; None if no accuracy is that high."""
        return ProbitModel.of(self, difference) if self.accuracy + difference < 1 else None


@dataclass(frozen=True)
class FewErrors:
    """Describes studies in which network A is always right, and B on all but a few images, the same in every run."""

    name: str
    n_images: int
    chance: float
    studies: int

    def model(self, difference: float) -> "FewErrorsModel | None":
        """Returns a model in which network A is ahead by `difference`; None if it is 0, because then nothing varies."""
        return FewErrorsModel(difference, self.chance) if difference > 0 else None


SETTINGS = (
    Setting("CIFAR-like", 10_000, 0.85, 0.003, 0.30, 0.6, 4_000),
    Setting("small, 97.5 %", 360, 0.975, 0.005, 0.12, 0.5, 16_000),
    Setting("small, 99 %", 360, 0.99, 0.003, 0.08, 0.5, 16_000),
    FewErrors("few errors", 1_000, 0.9, 16_000),
    # In real studies the standard deviation between seeds is 0.8 to 2.1 points (benchmarks/RESULTS.md).
    Setting("seeds far apart", 10_000, 0.75, 0.015, 0.35, 0.6, 4_000),
    Setting("A's seeds skewed", 10_000, 0.75, 0.015, 0.35, 0.6, 4_000, "skewed"),
    Setting("A's runs collapse", 10_000, 0.75, 0.003, 0.35, 0.6, 4_000, "collapsing"),
)


@dataclass(frozen=True)
class ProbitModel:
    """Holds the parameters of the probit model, in standard deviations of the noise, and the accuracy of network B."""

    accuracy: float
    mu: tuple[float, float]
    image_scale: float
    image_correlation: float
    seed_scale: float
    seeds_of_a: Seeds

    @classmethod
    def of(cls, setting: Setting, difference: float) -> "ProbitModel":
        """Solves for the parameters that give a setting its moments; network A is ahead by `difference`."""
        p = setting.accuracy
        threshold = stats.norm.ppf(p)

        def between_images(correlation: float) -> float:
            """Returns the covariance of two chances whose latent values have this correlation."""
            return _both(threshold, correlation) - p * p

        variance = setting.consistency * p * (1 - p)
        own = optimize.brentq(lambda r: between_images(r) - variance, 0.0, 0.9999)
        shared = optimize.brentq(lambda r: between_images(r) - (variance - setting.image_sd**2 / 2), -0.5, own)
        total = 1 / (1 - own)  # latent variance of image effect and noise, the noise being 1
        slope = stats.norm.pdf(threshold) / math.sqrt(total)
        seed_scale = setting.seed_sd / slope
        scale = math.sqrt(total + seed_scale**2)
        ahead = p + difference
        if setting.seeds_of_a == "collapsing":
            ahead = (ahead - COLLAPSE * GUESSING) / (1 - COLLAPSE)
        mu = tuple(float(stats.norm.ppf(q) * scale) for q in (ahead, p))
        return cls(p, (mu[0], mu[1]), math.sqrt(total - 1), shared / own, seed_scale, setting.seeds_of_a)

    def sample(self, n_seeds: int, n_images: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws the images that each network classifies rightly: two bool arrays [n_seeds, n_images]."""
        common = rng.standard_normal(n_images, dtype=np.float32) * math.sqrt(abs(self.image_correlation))
        correct = []
        for network, mu in enumerate(self.mu):
            own = rng.standard_normal(n_images, dtype=np.float32) * math.sqrt(1 - abs(self.image_correlation))
            sign = -1.0 if network and self.image_correlation < 0 else 1.0
            chance = mu + self.image_scale * (sign * common + own)
            if self.seeds_of_a == "skewed":
                deviations = 0.0 if network else 1 - rng.standard_exponential((n_seeds, 1), dtype=np.float32)
            else:
                deviations = rng.standard_normal((n_seeds, 1), dtype=np.float32)
            chance = chance + self.seed_scale * deviations
            correct.append(chance > rng.standard_normal((n_seeds, n_images), dtype=np.float32))
        if self.seeds_of_a == "collapsing":
            collapsed = np.flatnonzero(rng.random(n_seeds) < COLLAPSE)
            correct[0][collapsed] = rng.random((len(collapsed), n_images)) < GUESSING
        return correct[0], correct[1]


@dataclass(frozen=True)
class FewErrorsModel:
    """Draws a few random images on which each run of network B may err; A is always right."""

    difference: float
    chance: float

    @property
    def accuracy(self) -> float:
        return 1 - self.difference

    def sample(self, n_seeds: int, n_images: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws the images that each network classifies rightly: two bool arrays [n_seeds, n_images]."""
        is_hard = rng.random(n_images) < self.difference / self.chance
        errs = is_hard & (rng.random((n_seeds, n_images)) < self.chance)
        return np.ones_like(errs), ~errs


def _both(threshold: float, correlation: float) -> float:
    """Returns the chance that two standard normals with this correlation both lie below the threshold."""
    covariance = [[1.0, correlation], [correlation, 1.0]]
    return float(stats.multivariate_normal.cdf([threshold, threshold], cov=covariance))


@dataclass(frozen=True)
class Tally:
    """Counts the outcomes of the simulated studies of one cell."""

    studies: int = 0
    right: int = 0
    wrong: int = 0
    equivalent: int = 0
    difference_covered: int = 0
    mean_covered: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def simulate(setting: Setting | FewErrors, n_seeds: int, difference: float, studies: int, seed: Sequence[int]) -> Tally:
    """Counts calls, and intervals that hold the truth. If the true difference is 0, every "better" is wrong."""
    rng = np.random.default_rng(seed)
    model = setting.model(difference)
    assert model is not None
    tally = Tally()
    for _ in range(studies):
        a, b = model.sample(n_seeds, setting.n_images, rng)
        failed = [np.flatnonzero(~beats_chance(correct, GUESSING)).tolist() for correct in (a, b)]
        sound = compare_sound(a, b, SoundPair(list(range(n_seeds)), (failed[0], failed[1]), None))
        comparison = hold_without_failures(compare(a, b), sound)
        low, high = proportion_interval(b)
        tally += Tally(
            studies=1,
            right=int(difference > 0 and comparison.winner == "a"),
            wrong=int(comparison.winner == "b" or (difference == 0 and comparison.winner == "a")),
            equivalent=int(comparison.call == "equivalent"),
            difference_covered=int(comparison.ci95[0] <= difference <= comparison.ci95[1]),
            mean_covered=int(low <= model.accuracy <= high),
        )
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, help="simulated studies a cell (default: 4,000 or 16,000)")
    parser.add_argument("--quick", action="store_true", help="a short form: 20 studies a cell, 3 and 5 seeds")
    parser.add_argument("--json", type=user_path, help="write the rows there")
    parser.add_argument("--real", action="store_true", help="run real studies of one network under two names")
    options = parser.parse_args(arguments)
    if options.real:
        return _run_twins(options.quick, options.json)
    studies, seed_counts = (20, SEEDS[:2]) if options.quick else (options.studies, SEEDS)
    cells = [
        (setting, n_seeds, difference)
        for setting in SETTINGS
        for n_seeds in seed_counts
        for difference in DIFFERENCES
        if setting.model(difference)
    ]
    rows = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        tasks = {
            cell: [
                pool.submit(simulate, *cell, min(STUDIES_A_TASK, total - start), (number, start))
                for total in (studies or cell[0].studies,)
                for start in range(0, total, STUDIES_A_TASK)
            ]
            for number, cell in enumerate(cells)
        }
        for (setting, n_seeds, difference), parts in tasks.items():
            tally = sum((part.result() for part in parts), Tally())
            rows.append({"setting": setting.name, "seeds": n_seeds, "difference": difference, **asdict(tally)})
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


def _run_twins(quick: bool, target: Path | None) -> int:
    config = StudyConfig(dataset="digits", train_size=500, trials=5, max_epochs=8, seeds=5)
    if quick:
        config = replace(config, train_size=200, trials=2, max_epochs=2)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=multiprocessing.get_context("spawn")) as pool:
        studies = range(2 if quick else TWIN_STUDIES)
        results = []
        for result in pool.map(run_twin_study, studies, [replace(config, seed=seed) for seed in studies]):
            results.append(result)
            first, second = result.accuracies
            print(
                f"study {len(results)} of {len(studies)}: {100 * first:.2f} and {100 * second:.2f} %,"
                f" {result.comparison.call}",
                flush=True,
            )
    better = sum(result.comparison.call == "better" for result in results)
    low, high = stats.binomtest(better, len(results)).proportion_ci(0.95, "exact")
    differences = np.array([first - second for first, second in (result.accuracies for result in results)])
    accuracies = np.array([result.accuracies for result in results])
    print(
        f"{len(results)} studies of one network under two names: {better} called better"
        f" ({100 * better / len(results):.0f} %, exact 95 % interval {100 * low:.0f} to {100 * high:.0f} %),"
        f" {sum(result.comparison.call == 'equivalent' for result in results)} equivalent."
    )
    print(
        f"Mean tuned accuracy {100 * accuracies.mean():.1f} %; between two searches of the same study it deviates by"
        f" {100 * np.sqrt(np.mean(differences**2) / 2):.2f} percentage points (standard deviation)."
    )
    if target:
        rows = [asdict(result) for result in results]
        target.write_text(json.dumps(without_nan(rows), indent=2))
    return 0


def _print(rows: list[dict[str, object]]) -> None:
    table = Table(title="In percent, with one Monte-Carlo standard error")
    for heading in ("setting", "seeds", "true difference"):
        table.add_column(heading)
    columns = {
        "right": "better, rightly",
        "wrong": "better, wrongly",
        "equivalent": "equivalent",
        "difference_covered": "interval of the difference holds it",
        "mean_covered": "interval of a mean holds it",
    }
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for row in rows:
        difference = f"{100 * float(str(row['difference'])):g}"
        rates = [rate(int(str(row[key])), int(str(row["studies"]))) for key in columns]
        table.add_row(str(row["setting"]), str(row["seeds"]), difference, *rates)
    Console(width=140).print(table)


def rate(count: int, total: int) -> str:
    """Write a share in percent, with its Monte-Carlo standard error."""
    share = count / total
    return f"{100 * share:.1f} ± {100 * math.sqrt(share * (1 - share) / total):.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
