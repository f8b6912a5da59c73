"""The model of summary.json: the numbers of a study's report.

docs/summary.schema.json is this model as JSON Schema. Fractions are in [0, 1], and times are in the unit that the name
gives. A number that is not known is null. Keys that the model does not name are kept.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from analysis.results.files import without_nan
from analysis.results.study_json import Looks
from analysis.statistics.calls import Call

# A number, or null if it is not known.
Known = Annotated[float | None, BeforeValidator(without_nan)]
Interval = tuple[Known, Known]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Spread(_Part):
    """Describes a metric over seeds: mean, standard deviation, 95 % interval, and the value of each seed."""

    mean: float
    sd: Known
    ci95: Interval
    values: list[float]


class Share(_Part):
    """Holds a share of runs, or of a variance, with its 95 % interval."""

    share: float
    ci95: Interval


class Latency(_Part):
    """Quantiles of the time of one prediction, in milliseconds."""

    p50: Known
    p90: Known
    p99: Known


class TimesCompared(_Part):
    """Compares the times of two groups' networks for one image: the ratio, A over B, with its 95 % interval.

    `is_processor_time` is true if the machine was busy, so that times on the processor are compared, not wall times.
    `wall_per_processor_time` is the larger one of the two networks. `is_steady` is false if the interval stayed wide.
    """

    a: str
    b: str
    ratio: float
    ci95: Interval
    is_processor_time: bool
    wall_per_processor_time: Known
    is_steady: bool
    rounds: int


class GroupSummary(_Part):
    """Describes the final runs of one network with one configuration.

    `latency_ms`, `images_per_s`, `parameters` and `macs` describe the network that the configuration builds.
    `onnx_latency_ms` is the time in ONNX Runtime on the CPU, if it was measured. `failed_seeds` are the runs that
    diverged or are not shown to beat their own answers dealt out at random. `learned` is the share of the other runs.
    """

    title: str
    arch: str
    variant: str
    config: dict[str, Any]
    seeds: list[int]
    diverged_seeds: list[int]
    failed_seeds: list[int] = []
    learned: Share | None = None
    same_as: str | None = None
    accuracy: Spread
    precision: Spread
    recall: Spread
    f1: Spread
    latency_ms: Latency
    onnx_latency_ms: Latency | None = None
    images_per_s: Known
    parameters: int | None
    macs: int | float | None


class Difference(_Part):
    """Holds a difference in accuracy, A minus B, with its interval: 95 %, or `confidence` of the comparison."""

    mean: float
    ci95: Interval


class SoundDifference(Difference):
    """Holds the difference on the seeds without a failed run, and what these seeds alone show."""

    call: Call
    seeds: list[int]


class DifferenceOverSearches(_Part):
    """Describes the difference between networks that are tuned by a search each, A minus B.

    Attributes:
        call: the call for two such networks. It is "not shown" if the call speaks of the two configurations alone.
        ci95: 95 % interval over searches, seeds and images, or `confidence` of the comparison.
        p_value: p value of no difference, from the same variance.
        holm_p: the same, adjusted for the other pairs of tuned networks.
        luck: estimated standard deviation of a network's true accuracy between searches, by the name of the network.
    """

    call: Call
    ci95: Interval
    p_value: Known
    holm_p: Known
    luck: dict[str, float]


class ComparisonRow(_Part):
    """Describes a comparison of two groups, A and B.

    `holm_p` and `equivalence_holm_p` are adjusted for the other comparisons of the same family. `not_worse_p` are the p
    values of A being worse than B by the margin, and of B being worse than A, not adjusted. If runs failed, each is the
    larger one with and without them. `headline` and `difference_text` are parts of `text`.
    `without_failed_runs` is set if runs failed.
    `detectable` is the true difference that 4 of 5 studies show, by their number of seeds.
    `over_searches` is there if the luck of both searches can be estimated. `luck_to_overturn` is the luck of both
    searches, as `over_searches` has it, with which the interval over searches would include 0. It is there if the
    interval of the two configurations excludes 0.
    `confidence` is there with `--seeds auto`. The interval has it, and the tests may err as often. Over all looks
    together the interval holds the difference in about 95 % of studies.
    """

    family: str
    a: str
    b: str
    winner: str | None
    call: Call
    reason: str | None
    difference: Difference
    without_failed_runs: SoundDifference | None = None
    p_value: Known
    holm_p: Known
    equivalence_holm_p: Known = None
    not_worse_p: tuple[Known, Known] | None = None
    prob_better: float
    margin: float
    seeds: list[int]
    seeds_left_out: list[int]
    seed_correlation: Known
    detectable: dict[int, float] = {}
    headline: str = ""
    difference_text: str = ""
    text: str
    over_searches: DifferenceOverSearches | None = None
    luck_to_overturn: Known = None
    confidence: float | None = None


class Verdict(_Part):
    """Holds the one primary comparison, tuned against tuned. `winner` is the name of a network.

    `difference`, `p_value` and `call` are about the two configurations. `over_searches` and `luck_to_overturn` are as
    in the comparison. `for_these_configurations` is true if the call speaks of the two configurations alone. `looks` is
    as in study.json, with `--seeds auto`, and `confidence` as in the comparison.
    """

    winner: str | None
    a: str
    b: str
    call: Call
    difference: Difference
    p_value: Known
    prob_better: float
    margin: float
    seeds: list[int]
    planned_seeds: int
    text: str
    over_searches: DifferenceOverSearches | None = None
    luck_to_overturn: Known = None
    for_these_configurations: bool | None = None
    looks: Looks | None = None
    confidence: float | None = None


class FilesVerdict(_Part):
    """Compares two files of weights, A and B: the tuned run of each network with the lowest validation loss.

    `a`, `b` and `winner` are names of final runs, such as "alexnet-tuned/seed-3". Test images alone are random: no seed
    is. `only_a` and `only_b` count the images that only one of the two classifies correctly.
    """

    a: str
    b: str
    winner: str | None
    call: Call
    reason: str | None
    difference: Difference
    only_a: int
    only_b: int
    margin: float
    text: str


class Budget(_Part):
    """Counts the trials, epochs, seconds and multiply-accumulates of a network's search and of its confirmation.

    The multiply-accumulates are not known if the search changed the size of the network.
    """

    trials: int
    epochs: int
    seconds: float
    macs: int | None
    confirm_runs: int
    confirm_epochs: int
    confirm_seconds: float
    confirm_macs: int | None


class ImportanceSummary(_Part):
    """Holds the importance of each hyperparameter in a network's search.

    `trials` counts the trials with a score. `shares` are shares of the variance of the score, each from one
    hyperparameter alone. They are missing if they are not known, and `reason` says why.
    """

    trials: int
    shares: dict[str, Share] = {}
    reason: str | None = None


class Grade(StrEnum):
    """Says what a limit can do to a verdict, the gravest first."""

    COULD_OVERTURN = "could overturn"
    WEAKENS = "weakens"
    FOR_INFORMATION = "for information"

    @property
    def words(self) -> str:
        """Return the grade as people read it before the limit."""
        return self.capitalize() + (" the result" if self != Grade.FOR_INFORMATION else "")


class Caveat(_Part):
    """Describes a limit of the verdict. `label` is its short form after the call: "but training was cut short"."""

    grade: Grade
    text: str
    label: str | None = None

    @classmethod
    def grave(cls, text: str, label: str, is_grave: bool = True) -> "Caveat":
        """Return a limit that could overturn the result, or one that weakens it unless it is grave."""
        if is_grave:
            return cls(grade=Grade.COULD_OVERTURN, text=text, label=label)
        return cls(grade=Grade.WEAKENS, text=text)


class Conclusion(_Part):
    """Holds the sentences that every reader sees first. The keys are missing in a study of an older version.

    Attributes:
        call: the call of the verdict. With more than two networks it says if one is better than every other.
        label: the call, with the gravest limit that could overturn it.
        headline: the winner, or that none is shown.
        accuracies: the test accuracies, and the difference with its interval.
        luck: the interval over searches, and how large the luck of a search would have to be to overturn the verdict.
        price: how much more time and how many more parameters one network needs than the other.
        times: the inference times of the two networks of `price`, by runtime: `pytorch`, and `onnx` if it was measured.
        advice: the network to take, if the cheaper one of two is not worse by the margin.
        doubt: the gravest limits that could overturn the result, two at most.
        caveats: every limit, the gravest first.
    """

    call: Call | None = None
    label: str | None = None
    headline: str | None = None
    accuracies: str | None = None
    luck: str | None = None
    price: str | None = None
    times: dict[str, TimesCompared] = {}
    advice: str | None = None
    doubt: list[str] = []
    caveats: list[Caveat] = []


class Summary(Conclusion):
    """Holds the contents of summary.json."""

    groups: dict[str, GroupSummary]
    verdict: Verdict | None
    files: FilesVerdict | None = None
    comparisons: list[ComparisonRow]
    budget: dict[str, Budget]
    importance: dict[str, ImportanceSummary] = {}

    def as_json(self) -> dict[str, Any]:
        """Return the object to write as JSON."""
        return self.model_dump(mode="json", exclude_unset=True)
