"""Patience ends no run on few images before the run has made enough optimizer steps to learn."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from analysis.results.run_folders import FinalRun
from analysis.retraining.plans import RunPlan
from analysis.retraining.run import train_and_judge
from models.networks.registry import ARCHITECTURES
from models.precision import resolve
from models.training.history import EpochResult, outcome_of
from models.training.loop import TrainingRun
from models.training.recipe import GRACE_STEPS, TrainingConfig
from study.data.datasets import load_dataset
from study.settings.config import StudyConfig
from tests.builders import CPU, TOY, epoch, noise, train, training_data, training_run

# The validation losses of final runs 0 and 25 of the MobileNet-like network on 500 digits with a learning rate of 0.01.
# They go on to 87.8 and 90.8 % of the test images.
PLATEAU = [
    (2.30, 2.36, 2.57, 3.11, 3.01, 2.40, 1.67, 1.54, 1.46, 1.04, 0.92, 0.85, 0.74, 0.98),
    (2.30, 2.33, 2.41, 2.48, 2.64, 2.52, 2.94, 2.24, 1.79, 1.22, 1.01, 0.98, 0.70, 0.55),
]


@pytest.mark.parametrize("losses", PLATEAU)
def test_patience_ends_no_run_on_its_first_plateau(losses: tuple[float, ...]) -> None:
    config = TrainingConfig({"lr": 1e-2, "dropout": 0.0}, max_epochs=20, patience=5)
    history = [epoch(number, loss) for number, loss in enumerate(losses, start=1)]
    assert outcome_of(history[:6], config, steps_per_epoch=4) == "STOPPED_EARLY"
    patient = replace(config, grace_steps=GRACE_STEPS)
    assert {outcome_of(history[:end], patient, 4) for end in range(1, 15)} == {None}


@pytest.mark.parametrize(
    ("n_images", "epochs"),
    [(120, 9), (60, 15), (360, 6)],
)
def test_a_run_out_of_patience_goes_on_until_it_has_made_60_steps(n_images: int, epochs: int) -> None:
    """A learning rate of 0 never lowers the loss after its first epoch."""
    config = TrainingConfig({"lr": 0.0, "dropout": 0.0}, 20, patience=5, batch_size=16, grace_steps=GRACE_STEPS)
    run = train(training_run(data=training_data(noise(n_images)), config=config))
    assert (run.outcome, len(run.history)) == ("STOPPED_EARLY", epochs)
    again = training_run(data=training_data(noise(n_images)), config=config)
    again.load_state_dict(run.state_dict())
    assert again.outcome == "STOPPED_EARLY"


def test_a_final_run_of_a_study_goes_on_until_it_has_made_60_steps() -> None:
    """On 500 digits an epoch has 4 steps. Patience alone would end the run after 6 epochs."""
    dataset = load_dataset(StudyConfig(dataset="digits", train_size=500))
    recipe = replace(StudyConfig(), max_epochs=20).training({"lr": 0.0, "dropout": 0.0})
    plan = RunPlan("toy", "tuned", 0, recipe, is_tuned=True)
    *_, run = train_and_judge(plan, TOY, 0, "fp32", "auto", 10, dataset.train, lambda: dataset.test, _epochs)
    assert isinstance(run, FinalRun)
    assert len(run.history) == 15


@pytest.mark.slow
def test_a_final_run_on_500_digits_learns_past_its_first_plateau() -> None:
    dataset = load_dataset(StudyConfig(dataset="digits", train_size=500))
    recipe = replace(StudyConfig(), max_epochs=10).training({"lr": 1e-2, "dropout": 0.0})
    plan, network = RunPlan("mobilenet", "tuned", 0, recipe, is_tuned=True), ARCHITECTURES["mobilenet"]
    precision = resolve("auto", CPU)
    *_, run = train_and_judge(plan, network, 0, precision, "auto", 10, dataset.train, lambda: dataset.test, _epochs)
    assert isinstance(run, FinalRun)
    assert run.metrics["val_loss"] < 1.5
    assert run.metrics["accuracy"] > 0.6


def _epochs(run: TrainingRun) -> Iterator[EpochResult]:
    while run.outcome is None:
        yield run.train_epoch()
