"""The short forms of the benchmarks: they run, and their rows say what they must."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import agreement, calibration, scale
from benchmarks.calibration import SETTINGS, ProbitModel


def test_calibration_counts_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibration.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["setting"] for row in rows} == {setting.name for setting in SETTINGS}
    assert {row["studies"] for row in rows} == {40}
    for row in rows:
        if row["seeds"] == 3:
            assert row["right"] == row["wrong"] == row["equivalent"] == 0
        if row["difference"] == 0:
            assert row["right"] == 0
        assert row["difference_covered"] >= 30
    (easy,) = (row for row in rows if (row["setting"], row["seeds"], row["difference"]) == ("CIFAR-like", 5, 0.02))
    assert easy["right"] >= 36
    assert "CIFAR-like" in capsys.readouterr().out


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_simulated_networks_have_the_moments_they_state(setting: calibration.Setting) -> None:
    model = ProbitModel.of(setting, difference=0.0)
    a, b = model.sample(20, 100_000, np.random.default_rng(0))
    assert a.mean() == pytest.approx(setting.accuracy, abs=4 * setting.seed_sd / 20**0.5 + 0.002)
    assert a.mean(axis=1).std(ddof=1) == pytest.approx(setting.seed_sd, rel=0.6)
    chances = a[:10].mean(axis=0) - b[:10].mean(axis=0), a[10:].mean(axis=0) - b[10:].mean(axis=0)
    # Two halves of the seeds share the images' effects and nothing else, so their covariance is that of the images.
    assert np.cov(*chances)[0, 1] ** 0.5 == pytest.approx(setting.image_sd, rel=0.1)


def test_agreement_compares_both_loops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.json"
    assert agreement.main(["--train-size", "300", "--epochs", "1", "--seeds", "1", "--json", str(rows)]) == 0
    assert [row["arch"] for row in json.loads(rows.read_text())] == ["alexnet", "mobilenet"]
    assert "plain fp32 loop" in capsys.readouterr().out


def test_scale_has_a_row_a_size(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--quick", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["trials"] for row in rows] == [10, 20]
    for row in rows:
        assert row["driver_cpu_seconds_per_trial"] > 0
        assert 0 < row["driver_seconds_per_trial"] < 30
        assert 50 < row["peak_memory_mb"] < 8000
        assert 0 < row["folder_mb"] < 50
    assert "trials at a time" in capfd.readouterr().out


def test_scale_takes_sizes_that_both_networks_can_share() -> None:
    for odd in ("3", "0", "-2"):
        with pytest.raises(SystemExit):
            scale.main(["--trials", odd])
