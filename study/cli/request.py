"""Turn a command line into a request for a study, checked before any data are read."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.paths import user_path
from analysis.results.errors import writer
from analysis.results.files import DamagedFile
from analysis.results.study_folder import StudyFolder
from study.cli.command_line import Options, parse, parser
from study.cluster.capacity import divide, machine_capacity
from study.cluster.environment import check_lasts
from study.data import datasets
from study.earlier.begun import Earlier, read_begun, read_earlier
from study.errors import BadInput, unknown
from study.mirror.fetch import bring_home, check_unused
from study.plan.budget import LEAST
from study.settings.config import FILE_ONLY, StudyConfig
from study.settings.file.read import read_study_file
from study.settings.file.whole import whole_tables
from study.settings.network_checks import leave_out_again
from study.settings.networks import check_networks
from study.storage.claim import check_free, check_name
from study.storage.object_store import check_storage
from study.storage.provenance import search_settings
from study.track.tracker import check_packages

# These settings may differ when a study goes on: they change how many seeds there are, which machine trains, or where
# the data lie. The fingerprint of the data must be the same.
_FREE_ON_RESUME = {"seeds", "concurrency", "cpus_per_trial", "gpus_per_trial", "address", "wait", "data_dir", "track"}
# A command with --resume and one of these settles a study, so it begins the study if there is none.
_SETTLING = {"preset", "dataset", "study_file", "archs", "baseline"}
_OTHER_VERSION = "go on with that version, or begin anew"


@dataclass(frozen=True)
class Request:
    """Describes the study that the command line asks for.

    Attributes:
        config: its settings; None where the machine or the cluster decides.
        folder: its folder, which exists if `is_resumed`.
        is_resumed: True if the study was begun before.
        is_named: True if the user chose the name. If not, a new study may get another one.
        arguments: the words of the command line.
        notes: sentences about each network, by its name, that its check found.
        fixed: names of the settings that a budget leaves alone.
        earlier: the study that a new study goes on from.
        searches: number of the studies of --searches, of which this is one: their names end in -1, -2, ...
    """

    config: StudyConfig
    folder: StudyFolder
    is_resumed: bool
    is_named: bool
    arguments: tuple[str, ...]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    earlier: Earlier | None = None
    searches: int = 1


def read_request(arguments: Sequence[str], say: Callable[[str], None] | None = None) -> Request:
    """Read the command line, and check everything that needs no data.

    Args:
        say: prints a line. With it, a study that is only in its bucket is fetched, and a new study may not have a name
            that is taken there.

    Raises:
        BadInput: if the study cannot begin or go on so.
        StorageFailed: if its bucket does not answer.
    """
    options = parse(arguments)
    _check_path("--results-dir", options.results_dir)
    _check_path("--data-dir", options.data_dir)
    check_lasts(options.results_dir)
    if options.resume:
        if say is not None:
            bring_home(options.results_dir, options.name, options.storage, say)
        return _read_resume(options, arguments)
    config = _absolute(options.config())
    _check_networks(config, options)
    if config.storage is not None:
        check_storage(config.storage)
    check_packages(config.track)
    name = (
        f"{config.dataset.replace(':', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
        if options.name is None
        else check_name(options.name)
    )
    check_free(options.results_dir, name)
    if say is not None and options.name is not None:
        check_unused(config.storage, name)
    datasets.check(config)
    on_gpu = config.address is None and divide(machine_capacity(), config).gpus_per_trial > 0
    if config.budget_hours is not None and (on_gpu or config.address is not None):
        where = "on a GPU" if on_gpu else "on a cluster"
        raise BadInput(
            f"--budget-hours cannot plan a study {where}, whose speed is known only after it has begun: leave the flag"
            " out, and lower --trials and --seeds"
        )
    folder = StudyFolder(options.results_dir / name)
    fixed = given_with_budget(arguments)
    earlier = None if options.from_study is None else read_earlier(options.from_study)
    words, is_named = tuple(arguments), options.name is not None
    return Request(config, folder, False, is_named, words, fixed=fixed, earlier=earlier, searches=options.searches)


def _check_path(flag: str, path: Path | None) -> None:
    """Raises BadInput if no file system takes this path. The path need not exist yet."""
    try:
        if path is not None:
            path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except OSError as error:
        raise BadInput(f"{flag} {str(path)!r} cannot be a path ({error.strerror}): choose another") from error


def _read_resume(options: Options, arguments: Sequence[str]) -> Request:
    """Read the request for a study that goes on.

    If there is none, the same command can begin it: a RayJob or `sbatch --requeue` repeats one command. A folder
    without study.json becomes a new study of the same name.
    """
    names = [file.parent.name for file in options.results_dir.glob("*/study.json")]
    is_begun = bool(names) if options.name is None else check_name(options.name) in names
    if not is_begun:
        is_folder = options.name is not None and (options.results_dir / options.name).is_dir()
        if is_folder or _SETTLING & given_with_budget(arguments):
            return read_request([argument for argument in arguments if argument != "--resume"])
        if options.name is not None:
            otherwise = "choose another --name, or say what to begin by --dataset, --preset, --config or --archs"
            raise BadInput(unknown(f"study in {options.results_dir}", options.name, names, otherwise))
    if options.name is None:
        try:
            folder = StudyFolder.newest(options.results_dir)
        except DamagedFile as error:
            raise BadInput(f"{error}: say which study to go on with by --name") from error
    else:
        folder = StudyFolder.open(options.results_dir / options.name)
    study, stored = read_begun(folder, _OTHER_VERSION)
    trials = None if folder.journal.exists() else folder.read_trials()
    if trials is not None and len(trials):
        raise BadInput(f"{folder.journal} is missing and {len(trials)} trials with it: put it back, or begin anew")
    for setting, now in search_settings(stored, _n_train(folder, study)).items():
        if (before := study.get("search", {}).get(setting)) != now:
            raise BadInput(
                f"{folder.path} was begun by a version that searches otherwise ({setting} {before}, not {now}),"
                f" {writer(study)}: {_OTHER_VERSION}"
            )
    asked = _absolute(parse(arguments, base=stored).config())
    notes = {arch: network.get("notes", []) for arch, network in study.get("architectures", {}).items()}
    asked = leave_out_again(asked, stored, notes)
    if asked.budget_hours == stored.budget_hours is not None:  # the numbers that were planned then stay
        planned = LEAST.keys() - given_with_budget(arguments)
        asked = replace(asked, **{name: getattr(stored, name) for name in planned})
    if asked.precision == "auto":  # the machine chose when the study began
        asked = replace(asked, precision=stored.precision)
    check_packages(asked.track)
    same = _without_growth(stored, asked, options, folder)
    # The looks are planned before the first one.
    free = _FREE_ON_RESUME - ({"seeds"} if "auto" in (stored.seeds, asked.seeds) else set())
    for entry in fields(StudyConfig):
        if entry.name in FILE_ONLY:
            continue
        before, now = getattr(stored, entry.name), getattr(same, entry.name)
        if before != now and entry.name not in free:
            flag = "--" + entry.name.replace("_", "-")
            difference = "out " + flag if entry.name == "baseline" else f" {flag} {_typed(before)}, not {_typed(now)}"
            raise BadInput(f"{folder.path} was begun with{difference}: leave the flag out, or begin anew")
    if asked.seed_range < stored.seed_range:
        raise BadInput(f"{folder.path} has --seeds {stored.seeds}: a study can be given more, not fewer")
    _check_networks(asked, options)
    begun, tables = whole_tables(stored), whole_tables(replace(asked, archs=stored.archs))
    for name in FILE_ONLY:
        if changed := _difference(begun[name], tables[name]):
            raise BadInput(f"{folder.path} was begun with another [{name}] ({changed}); put it back, or begin anew")
    added = {arch: asked.networks[arch] for arch in asked.archs[len(stored.archs) :] if arch in asked.networks}
    networks = {**stored.networks, **added}
    asked = replace(asked, recipe=stored.recipe, space=stored.space, networks=networks)
    return Request(asked, folder, True, options.name is not None, tuple(arguments), searches=options.searches)


def _without_growth(stored: StudyConfig, asked: StudyConfig, options: Options, folder: StudyFolder) -> StudyConfig:
    """Return the settings without the trials and networks that are added.

    Raises:
        BadInput: if there are any, and a test image was predicted.
    """
    archs, trials = asked.archs[: len(asked.archs) - len(options.add_arch)], min(asked.trials, stored.trials)
    if (archs != asked.archs or asked.trials > stored.trials) and folder.final.numbers():
        raise BadInput(
            f"{folder.path} has predicted test images, so it takes no more trials or networks: begin a new study that"
            f" is told its trials by --from {shlex.quote(str(folder.path))}"
        )
    return replace(asked, archs=archs, trials=trials)


def _check_networks(config: StudyConfig, options: Options) -> None:
    """Check the networks, and name the study file, if there is one, in the line of a fault."""
    try:
        check_networks(config)
    except BadInput as error:
        if options.study_file is None:
            raise
        raise BadInput(f"{options.study_file}: {error}") from error


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return the first key, with dots between a table and its key, that differs; None if none does."""
    for key in {**before, **now}:
        was, is_ = before.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(is_, dict):
            if inner := _difference(was, is_):
                return f"{key}.{inner}"
        elif was != is_:
            return f"{key} {_typed(was)}, not {_typed(is_)}"
    return None


def _typed(value: Any) -> str:
    """Return a setting as it is typed on the command line."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _n_train(folder: StudyFolder, study: Mapping[str, Any]) -> int:
    data = study.get("data")
    n_train = data.get("n_train") if isinstance(data, dict) else None
    if type(n_train) is not int or n_train < 1:
        raise BadInput(
            f"{folder.path} does not say how many training images it was begun with: put study.json back, or begin anew"
        )
    return n_train


def _absolute(config: StudyConfig) -> StudyConfig:
    """Make paths absolute, because workers run in other folders and a study may be resumed from another folder."""
    data_dir = None if config.data_dir is None else config.data_dir.absolute()
    storage = config.storage
    if storage is not None and "://" not in storage:
        storage = str(user_path(storage).absolute())
    networks = {
        arch: {**told, "weights": str(user_path(told["weights"]).absolute())} if told.get("weights") else told
        for arch, told in config.networks.items()
    }
    return replace(config, data_dir=data_dir, storage=storage, networks=networks)


def given_with_budget(arguments: Sequence[str]) -> frozenset[str]:
    """Return the names of the settings that a budget leaves alone.

    They are given by flags, or in the study file if it is the file that gives the budget.
    """
    given = vars(parser().parse_known_args(arguments)[0])
    is_in_file = "budget_hours" not in given and "study_file" in given
    file = read_study_file(user_path(given["study_file"])) if is_in_file else {}
    return frozenset(given) | (frozenset(file) if "budget_hours" in file else frozenset())
