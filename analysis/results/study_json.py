"""The model of study.json: the resolved configuration of a study and its provenance.

docs/study.schema.json is this model as JSON Schema. Keys that the model does not name are kept, so that older and newer
studies load.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError, model_validator

from analysis.results.errors import writer
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder

Number = int | float
# The titles of the hyperparameters that training reads, unless study.json has others.
_TITLES = {"lr": "learning rate", "weight_decay": "weight decay", "label_smoothing": "label smoothing"}
# The names of the other hyperparameters begin with this, and then have the name of the factory's parameter.
_OF_NETWORK = "model."
# Tags of the union of dimensions, which no error line shows.
_RANGE, _CHOICES = "<range>", "<choices>"


class _Part(BaseModel):
    """An object of study.json. Its types are strict: the text "3" is not the number 3."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class Range(_Part):
    """Describes a hyperparameter searched between two numbers, on a logarithmic scale if `log`.

    `type` is None in a study of an older version, which searched real numbers alone. `step` is the distance between two
    values; None is any distance, or 1 between whole numbers.
    """

    low: Number
    high: Number
    log: bool
    type: Literal["float", "int"] | None = None
    step: Number | None = None
    title: str | None = None


class Choices(_Part):
    """Describes a hyperparameter searched among several values."""

    choices: list[Any]
    type: Literal["categorical"] | None = None
    title: str | None = None


def _kind(dimension: Any) -> str:
    has_choices = "choices" in dimension if isinstance(dimension, dict) else isinstance(dimension, Choices)
    return _CHOICES if has_choices else _RANGE


Dimension = Annotated[Annotated[Range, Tag(_RANGE)] | Annotated[Choices, Tag(_CHOICES)], Discriminator(_kind)]


class Config(_Part):
    """Holds the settings of the study that the report and `predict` need.

    `bit_depth` is the bits that the values of 16-bit images were read with; None is 16. `recipe` holds the constants of
    training that differ from the documented recipe. `networks` holds the arguments, normalisation and weights of
    networks, by their names. `image_size` is the pixels of a side of the images. `margin` is the difference in test
    accuracy, in percentage points, that matters, and `margin_of_errors` is the same in percent of the worse network's
    errors. Both are None if the default rule decides. `max_parameters` and `max_latency_ms` are the limits
    on every network that was tried, None without a limit. Patience ended no run before `grace_steps` optimizer steps,
    which is 0 in a study of an older version.
    """

    baseline: bool
    trials: int
    max_epochs: int
    seeds: int | Literal["auto"]
    precision: str
    first_lrs: list[float] = []
    bit_depth: int | None = None
    recipe: dict[str, Any] = {}
    networks: dict[str, dict[str, Any]] = {}
    image_size: int = 32
    margin: Number | None = 0.5
    margin_of_errors: Number | None = None
    grace_steps: int = 0
    max_parameters: int | None = None
    max_latency_ms: Number | None = None


class Network(_Part):
    """Describes a network: its title, its baseline configuration and its size, and its search space.

    `parameters` and `macs` are the baseline's. `space` is the network's whole search space, if networks have different
    ones; None is `search.space`. `notes` are what its check noticed, each the end of a sentence about it.
    """

    title: str
    baseline: dict[str, Any]
    parameters: int
    macs: Number
    space: dict[str, Dimension] | None = None
    notes: list[str] = []


class Search(_Part):
    """Holds the recipe of the search. `space` is what all networks share; `tolerance` is in [0, 1]."""

    space: dict[str, Dimension]
    grace_period: int
    reduction_factor: int
    patience: int
    batch_size: int
    validation_fraction: Number
    tolerance: Number = 0


class Data(_Part):
    """Describes the data set.

    Attributes:
        notes: sentences about what was noticed while the images were read.
        unread: the number of files that were not read, by extension.
        repeats: the number of repeated pictures: in "train and test", "within test", or under "two labels".
    """

    title: str
    classes: list[str]
    n_train: int
    n_test: int
    fingerprint: str
    notes: list[str] = []
    unread: dict[str, int] = {}
    repeats: dict[str, int] = {}


class Environment(_Part):
    """Describes the software and the machine that a session of the study ran on."""

    python: str
    packages: dict[str, str]
    platform: str
    processor: str
    cpus: int
    gpus: list[str]
    memory_gib: Number
    version: str | None = None
    git_commit: str | None = None
    c_compiler: str | None = None


class Session(_Part):
    """Describes a session that resumed the study. `added_seeds` is the number of seeds that it added."""

    created: str
    command: str
    environment: dict[str, Any]
    added_seeds: int = 0


class Origin(_Part):
    """Describes the earlier study whose trials the samplers were told.

    `seeds` are the seed of the earlier study and of the studies that it came from. `is_tested` says if one of them had
    predicted test images. `told` counts the trials told, and `untold` says why there are none, each by network.
    """

    study: str
    seeds: list[int]
    is_tested: bool
    told: dict[str, int]
    untold: dict[str, str]


class Look(_Part):
    """Describes a look: the number of seeds at which the study may stop, and the error that the look may make."""

    seeds: int
    alpha: Number


class Looks(_Part):
    """Holds the plan of the looks of `--seeds auto`, by ascending seeds, and the seeds of the look that was reached."""

    plan: list[Look]
    reached: int


class Study(_Part):
    """Holds the contents of study.json, as far as the report needs them."""

    name: str
    created: str
    command: str
    config: Config
    architectures: dict[str, Network]
    search: Search
    data: Data
    environment: Environment
    resumed: list[Session] | None = None
    origin: Origin | None = None
    looks: Looks | None = None

    @model_validator(mode="after")
    def _check_looks(self) -> Self:
        if (self.config.seeds == "auto") != (self.looks is not None):
            raise ValueError
        return self

    @property
    def planned_seeds(self) -> int:
        """Return the number of final runs of each configuration that are planned now. A look may plan more."""
        if self.config.seeds == "auto":
            assert self.looks is not None
            return self.looks.reached
        return self.config.seeds

    def alpha(self, n_seeds: int) -> float | None:
        """Return the error that a comparison of this many seeds may make: the first look's with at least as many.

        Return None if the number of seeds was fixed beforehand.
        """
        if self.looks is None:
            return None
        plan = self.looks.plan
        return float(next((look.alpha for look in plan if look.seeds >= n_seeds), plan[-1].alpha))

    def n_validation(self) -> int:
        """Return the number of validation images of the search."""
        return round(self.search.validation_fraction * self.data.n_train)

    def space_of(self, arch: str) -> dict[str, Dimension]:
        """Return the search space of a network: its hyperparameters by name."""
        own = self.architectures[arch].space
        return self.search.space if own is None else own

    def titles(self) -> dict[str, str]:
        """Return the title of each hyperparameter that any network searched, by its name: the shared ones first."""
        spaces = [self.search.space, *(self.space_of(arch) for arch in self.architectures)]
        found = {name: dimension.title for space in reversed(spaces) for name, dimension in space.items()}
        names = dict.fromkeys(name for space in spaces for name in space)
        titles = {name: found[name] or _TITLES.get(name, name.removeprefix(_OF_NETWORK)) for name in names}
        shown = Counter(titles.values())
        return {name: title if shown[title] == 1 else name for name, title in titles.items()}


def is_of_network(name: str) -> bool:
    """Return whether a hyperparameter may change the cost of a prediction. Dropout has no name of that kind."""
    return name.startswith(_OF_NETWORK)


def is_resized(config: Mapping[str, Any], baseline: Mapping[str, Any]) -> bool:
    """Return whether a configuration may build another network than the baseline."""
    return any(is_of_network(name) and value != baseline.get(name) for name, value in config.items())


def checked_study(study: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of study.json, ready to be written, once they are valid.

    Raises:
        ValueError: if something is missing or has the wrong type; the message names the field.
    """
    try:
        return Study.model_validate(study).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        raise ValueError(_fault(error)) from error


def read_study(folder: StudyFolder) -> Study:
    """Read study.json. Raises DamagedFile, which names the field, if something is missing or has the wrong type."""
    try:
        return Study.model_validate(folder.read_study())
    except ValidationError as error:
        path = folder.path / "study.json"
        raise DamagedFile(
            f"{path} is not the description of a study: {_fault(error)}. It is by {writer(folder.read_study())}; use"
            " that version, or put the file back"
        ) from error


def _fault(error: ValidationError) -> str:
    """Return the first fault in words."""
    first = error.errors()[0]
    # The check of the looks names no place.
    name = ".".join(str(step) for step in first["loc"] if step not in (_RANGE, _CHOICES)) or "looks"
    match first["type"]:
        case "missing":
            return f"{name} is missing"
        case "model_type" | "dict_type":
            return f"{name} is not an object"
    return f"{name} is not what it should be"
