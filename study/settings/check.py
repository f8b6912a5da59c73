"""Checks the settings of a study, as far as neither data nor networks are needed."""

import math

from models.data import LARGEST_IMAGE, SMALLEST_IMAGE
from study.errors import BadInput, unknown
from study.settings.config import PRESETS, StudyConfig

# A run asks for at least 0.001 of a processor or a GPU, because Ray counts no finer share.
LEAST_SHARE = 0.001
# At most this many epochs: a higher cap is a typing error.
MOST_EPOCHS = 1_000_000
# The words that a setting may have.
CHOICES = {
    "preset": tuple(PRESETS),
    "dataset": ("cifar10", "digits", "folder"),
    "duplicates": ("drop", "keep", "refuse"),
    "precision": ("auto", "fp32", "bf16"),
    "kernels": ("auto", "off"),
    "track": ("tensorboard", "mlflow", "wandb"),
}


def check(config: StudyConfig) -> None:
    """Raises BadInput for a setting that no data, network or machine can make valid."""
    if not config.archs:
        raise BadInput("--archs needs at least one network")
    for flag, value, least in (
        ("--trials", config.trials, 1),
        ("--max-epochs", config.max_epochs, 1),
        ("--patience", config.patience, 1),
        ("--grace-steps", config.grace_steps, 0),
        ("--batch-size", config.batch_size, 1),
        ("--seeds", config.seed_range[0], 1),
        ("--train-size", config.train_size, 1),
        ("--max-parameters", config.max_parameters, 1),
        ("--concurrency", config.concurrency, 1),
        ("--seed", config.seed, 0),
        ("--train-seed", config.train_seed, 0),
        ("--test-seed", config.test_seed, 0),
        ("--confirm", config.confirm, 0),
    ):
        if value is not None and value < least:
            raise BadInput(f"{flag} must be at least {least}, not {value}")
    if config.seeds == "auto" and config.baseline:
        raise BadInput("--seeds auto stops by the verdict, and --baseline has none: give a number of seeds")
    if config.bit_depth is not None and not 8 <= config.bit_depth <= 16:
        raise BadInput(f"--bit-depth must be from 8 to 16, not {config.bit_depth}")
    if not SMALLEST_IMAGE <= config.image_size <= LARGEST_IMAGE:
        raise BadInput(f"--image-size must be from {SMALLEST_IMAGE} to {LARGEST_IMAGE}, not {config.image_size}")
    positive = [
        ("--max-latency-ms", config.max_latency_ms),
        ("--budget-hours", config.budget_hours),
        ("--wait", config.wait),
    ]
    for name, number in [*positive, *(("--first-lrs", lr) for lr in config.first_lrs)]:
        if number is not None and not 0 < number < math.inf:
            raise BadInput(f"{name} must be positive, not {number}")
    if not 0 < config.test_share < 1:
        raise BadInput(f"--test-share must be between 0 and 1, not {config.test_share}")
    if config.margin is not None and not 0 <= config.margin < 100:
        raise BadInput(f"--margin must be from 0 to below 100 percentage points, not {config.margin:g}")
    if config.margin_of_errors is not None and not 0 < config.margin_of_errors <= 100:
        raise BadInput(f"--margin-of-errors must be above 0 and at most 100 percent, not {config.margin_of_errors:g}")
    if config.max_epochs > MOST_EPOCHS:
        raise BadInput(f"--max-epochs must be at most {MOST_EPOCHS}, not {config.max_epochs}")
    if config.cpus_per_trial is not None and not LEAST_SHARE <= config.cpus_per_trial < math.inf:
        raise BadInput(f"--cpus-per-trial must be at least {LEAST_SHARE}, not {config.cpus_per_trial}")
    if config.gpus_per_trial and not LEAST_SHARE <= config.gpus_per_trial < math.inf:
        raise BadInput(f"--gpus-per-trial must be 0 or at least {LEAST_SHARE}, not {config.gpus_per_trial}")
    for name, known in CHOICES.items():
        given = getattr(config, name)
        for value in given if isinstance(given, tuple) else (given,):
            if value not in known and not (name == "dataset" and ":" in value):
                kinds = {"dataset": "data set", "kernels": "choice of kernels", "duplicates": "choice of duplicates"}
                raise BadInput(unknown({**kinds, "track": "tracker"}.get(name, name), value, known))
