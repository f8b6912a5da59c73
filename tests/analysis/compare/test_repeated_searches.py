"""Studies that differ in their seed alone are repeated searches, and give an interval over searches."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.compare.__main__ import main
from analysis.results.load import load_results
from analysis.results.study_folder import StudyFolder
from analysis.statistics.comparison import holm
from analysis.statistics.two_way_layout import TwoWayLayout
from tests.analysis.example_study import write_example

TITLES = {"one": "One", "two": "Two", "three": "Three"}


def _repeated(path: Path, seed: int, titles: dict[str, str]) -> StudyFolder:
    folder = write_example(path, titles=titles, seeds=3)
    study = folder.read_study()
    folder.write_study(study | {"config": study["config"] | {"seed": seed}})
    rng = np.random.default_rng(seed)
    for group in ("one-tuned", "two-tuned"):
        for number in range(3):
            run = folder.final.read(group, number, weights=True)
            wrong = rng.random(len(run.labels)) < 0.02
            logits = np.where(wrong[:, None], 0.0, np.eye(10)[run.labels]).astype(np.float32)
            run.logits[:] = logits
            folder.final.remove(group, number)
            folder.final.write(run)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[StudyFolder]:
    home = tmp_path_factory.mktemp("repeated")
    return [_repeated(home / f"s{seed}", seed, TITLES) for seed in range(3)]


def _compare(output: Path, *folders: StudyFolder) -> None:
    assert main([*(str(folder.path) for folder in folders), "--output", str(output)]) == 0


def test_the_interval_covers_searches_seeds_and_images(
    folders: list[StudyFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _compare(tmp_path, *folders)
    printed = " ".join(capsys.readouterr().out.split())
    repeats = pd.read_csv(tmp_path / "repeats.csv")
    assert list(zip(repeats["a"], repeats["b"], strict=True)) == [("One", "Two"), ("One", "Three"), ("Two", "Three")]
    p_values = []
    for row, (a, b) in zip(repeats.itertuples(), [("one", "two"), ("one", "three"), ("two", "three")], strict=True):
        groups = [load_results(folder).groups for folder in folders]
        one, other = (np.stack([of[f"{arch}-tuned"].correct().mean(axis=0) for of in groups]) for arch in (a, b))
        values = (one - other).mean(axis=1)
        layout = TwoWayLayout.between(one, other, paired=False)
        p_values.append(layout.p_value())
        assert (row.searches, row.difference) == (3, pytest.approx(np.mean(values)))
        assert (row.high - row.low) / 2 == pytest.approx(layout.half_width())
        assert row.deviation == pytest.approx(np.std(values, ddof=1))
    assert list(repeats["holm_p"]) == pytest.approx(holm(p_values))
    page = (tmp_path / "comparison.html").read_text()
    for end in ("no difference between", "One is more accurate than Three by "):
        said = f"Over 3 searches of each network, {end}"
        assert said in printed and said in " ".join(page.split())
    assert 'href="#over-searches"' in page


def test_other_settings_or_the_same_seed_are_no_repeat(folders: list[StudyFolder], tmp_path: Path) -> None:
    same = _repeated(tmp_path / "same", 0, TITLES)
    longer = _repeated(tmp_path / "longer", 1, TITLES)
    study = longer.read_study()
    longer.write_study(study | {"config": study["config"] | {"max_epochs": 9}})
    (tmp_path / "repeats.csv").touch()
    _compare(tmp_path, folders[0], same, longer)
    assert not (tmp_path / "repeats.csv").exists()
    assert "repeated searches" not in (tmp_path / "comparison.html").read_text()


def test_baselines_alone_are_no_searches(tmp_path: Path) -> None:
    for seed in range(2):
        folder = write_example(tmp_path / f"s{seed}", seeds=2, search=False)
        study = folder.read_study()
        folder.write_study(study | {"config": study["config"] | {"seed": seed}})
    _compare(tmp_path, StudyFolder(tmp_path / "s0"), StudyFolder(tmp_path / "s1"))
    assert not (tmp_path / "repeats.csv").exists()


def test_95_of_100_intervals_hold_the_difference_between_tuned_networks() -> None:
    """Searches, seeds and images each have a luck of a point; the images are the same for all searches."""
    rng, held = np.random.default_rng(0), 0
    searches, images, studies = 4, 400, 1_000
    for _ in range(studies):
        luck = rng.normal(0, 0.01, (searches, 1)) + rng.normal(0, 0.01 / np.sqrt(5), (searches, 1))
        layout = TwoWayLayout.of(0.02 + luck + rng.normal(0, 0.2, (1, images)) + rng.normal(0, 0.2, (searches, images)))
        held += abs(layout.mean - 0.02) <= layout.half_width()
    assert 0.93 <= held / studies <= 0.99
