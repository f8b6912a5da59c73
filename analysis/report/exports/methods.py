"""The Methods paragraph of a paper about the study, with the study's numbers filled in."""

from analysis.numbers import listed, number, plural
from analysis.report.digest import searched
from analysis.report.exports.recipe import recipe_in_words
from analysis.report.search_tables import CROWD, draws_surfaces, study_rungs
from analysis.results.load import StudyResults, group_name
from analysis.results.study_json import is_resized
from analysis.statistics.comparison import LEAST_PROBABILITY, LEAST_SEEDS
from analysis.verdict.caveats.own_settings import settings_of
from analysis.verdict.looks.level import looks_in_words
from analysis.verdict.margin import margin_in_words
from analysis.verdict.summary_json import Summary


def methods(results: StudyResults, summary: Summary) -> str:
    """Return the paragraph. It says only what the study did."""
    return " ".join(
        [
            *_data(results, summary),
            *(_search(results) if len(results.trials) else []),
            *_final_runs(results),
            *(_statistics(results, summary) if results.groups else []),
            *_machine(results),
        ]
    )


def _data(results: StudyResults, summary: Summary) -> list[str]:
    study = results.study
    networks = [f"{study.architectures[arch].title} ({_size(arch, results, summary)})" for arch in study.architectures]
    verb = "compared" if len(networks) > 1 else "trained"
    return [
        f"We {verb} {listed(networks)} on {study.data.title} ({study.data.n_train:,} training and"
        f" {study.data.n_test:,} test images of {len(study.data.classes)} classes), with fairverdict"
        f"{f' {study.environment.version}' if study.environment.version else ''} on Ray Tune"
        f"{_version(results, 'ray')} (Liaw et al., 2018)."
    ]


def _size(arch: str, results: StudyResults, summary: Summary) -> str:
    size = plural(results.study.architectures[arch].parameters, "parameter")
    tuned = summary.groups.get(group_name(arch, "tuned"))
    is_other = tuned is not None and is_resized(tuned.config, results.study.architectures[arch].baseline)
    return f"{size} before tuning, {number(tuned.parameters)} after it" if tuned and is_other else size


def _search(results: StudyResults) -> list[str]:
    study, rungs = results.study, study_rungs(results.study)
    sampler = (study.search.model_extra or {}).get("sampler")
    method = " with a Gaussian process" if sampler == "Gaussian process" else ""
    sentences = [
        f"Each network had the same budget: {plural(study.config.trials, 'trial')} of at most"
        f" {plural(study.config.max_epochs, 'epoch')}.",
        f"We searched {searched(study)}.",
        *_limits(results),
        "The first trial was the documented baseline.",
        *_told(results),
    ]
    given = study.config.first_lrs[: study.config.trials - 1]
    if given:
        rates = listed([f"{lr:g}" for lr in given])
        sentences.append(f"Then came learning rates given beforehand ({rates}), with the baseline's other values.")
    if study.config.trials > 1 + len(given):
        sentences.append(f"Optuna{_version(results, 'optuna')} (Akiba et al., 2019) proposed the others{method}.")
        if draws_surfaces(study):
            sentences.append(
                f"While {CROWD} or more trials of a network ran, each proposal was the highest point of a surface drawn"
                " from a Gaussian process of this program's own (Kandasamy et al., 2018)."
            )
    if rungs:
        sentences.append(
            "Asynchronous successive halving (Li et al., 2020) stopped trials, with the first rung at epoch"
            f" {rungs[0]} and a reduction factor of {study.search.reduction_factor}."
        )
    sentences.append(
        "A trial's score was its accuracy on the validation images"
        f" ({number(100 * study.search.validation_fraction, 'g')} % of the training images, stratified) at the epoch of"
        " its lowest validation loss."
    )
    if results.confirmations:
        trials = {run.group for run in results.confirmations}
        sentences.append(
            f"The {len(trials)} best trials were trained again in {len(results.confirmations)} runs on fresh seeds, and"
            " the scores of the search and of these runs chose the tuned configuration of each network."
        )
    return sentences


def _told(results: StudyResults) -> list[str]:
    if (origin := results.study.origin) is None:
        return []
    told = listed([f"{plural(count, 'trial')} of {results.architectures[arch]}" for arch, count in origin.told.items()])
    return [
        f"The samplers were told {told} of the earlier study {origin.study}, which counted neither as trials nor as"
        " candidates, and all seeds were new."
    ]


def _limits(results: StudyResults) -> list[str]:
    config, limits = results.study.config, []
    if config.max_parameters is not None:
        limits.append(f"has more than {config.max_parameters:,} parameters")
    if config.max_latency_ms is not None:
        limits.append(f"takes more than {config.max_latency_ms:g} ms to predict one image")
    return [f"No configuration was tried whose network {' or '.join(limits)}."] if limits else []


def _final_runs(results: StudyResults) -> list[str]:
    study = results.study
    trained = "Each baseline was" if study.config.baseline else "Each tuned configuration and each baseline was"
    settings = {network.title: settings_of(study, arch) for arch, network in study.architectures.items()}
    return [
        f"{trained} trained on {study.planned_seeds} fresh seeds with {recipe_in_words(study.config.recipe)}, batches"
        f" of {study.search.batch_size}, at most {study.config.max_epochs} epochs, a patience of"
        f" {study.search.patience} epochs on the validation loss, and {study.config.precision} arithmetic.",
        *([f"Patience ended no run before {steps} optimizer steps."] if (steps := study.config.grace_steps) else []),
        *(f"{title} had settings of its own: {said}." for title, said in settings.items() if said),
        "Runs with the same seed number had the same split and the same random streams.",
        "Each final run predicted the test images once, with the weights of its lowest validation loss.",
    ]


def _statistics(results: StudyResults, summary: Summary) -> list[str]:
    sentences = [
        "Intervals are 95 % intervals over seeds and test images, from the two-way layout without replication with"
        " Satterthwaite's degrees of freedom."
    ]
    if summary.comparisons:
        sentences.append(
            "The variances of two networks between seeds were added (Welch, 1947). A network and its baseline, which"
            " had the same initial weights with each seed, were paired."
        )
        sentences.append(
            f"A network was called better if the interval of the difference excluded 0, the difference was at least"
            f" {margin_in_words(results.study.config)}, at least {LEAST_SEEDS} seeds were compared, and it"
            f" won at least {100 * LEAST_PROBABILITY:g} % of the paired runs (Bouthillier et al., 2021)."
        )
        sentences.append("The p values of several comparisons were corrected after Holm (1979).")
        if results.study.looks:
            sentences.append(looks_in_words(results.study))
    return sentences


def _machine(results: StudyResults) -> list[str]:
    environment = results.study.environment
    gpus = f" and {listed(environment.gpus)}" if environment.gpus else ""
    return [f"The study ran on {environment.cpus} CPUs ({environment.processor}){gpus}."]


def _version(results: StudyResults, package: str) -> str:
    version = results.study.environment.packages.get(package)
    return f" {version}" if version else ""
