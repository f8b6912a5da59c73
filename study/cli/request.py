"""From a command line to a study that can run: its settings, its data, its folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from analysis.results.study_folder import StudyFolder, check_name
from models.data import Dataset, TooFewImages, stratified_split, stratified_subset
from models.networks.cost import count_macs, count_parameters
from models.networks.registry import ARCHITECTURES
from models.randomness import integer, stream
from study.cli.command_line import Options, parse
from study.cluster import session as cluster
from study.cluster.capacity import divide
from study.data import datasets
from study.errors import BadInput
from study.settings.config import StudyConfig, check
from study.storage.checkpoints import CheckpointStore
from study.storage.provenance import FORMAT, describe_session, describe_study, search_settings

# What may differ when a study goes on: it changes how fast a run is made, not what it gives, or where the data lie,
# whose fingerprint has to be the same.
_FREE_ON_RESUME = {"seeds", "concurrency", "address", "data_dir"}


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        config: may still hold None where the machine or the cluster decides.
        folder: of a study that was begun, if `is_resumed`; else it is not there yet.
        is_named: whether the study's name was asked for; else another is found if this one is taken meanwhile.
    """

    config: StudyConfig
    folder: StudyFolder
    is_resumed: bool
    is_named: bool
    arguments: tuple[str, ...]


def read_request(arguments: Sequence[str]) -> Request:
    """Reads and checks all that can be checked without reading data. Raises BadInput."""
    for argument in arguments:
        if not _is_text(argument):
            raise BadInput(f"the argument {argument!a} is not text in UTF-8")
    options = parse(arguments)
    _check_path("--results-dir", options.results_dir)
    _check_path("--data-dir", options.data_dir)
    if options.resume:
        return _read_resume(options, arguments)
    config = options.config()
    config = _absolute(config)
    check(config)
    _check_storage(config)
    name = f"{config.dataset}-{datetime.now():%Y%m%d-%H%M%S}" if options.name is None else check_name(options.name)
    StudyFolder.check_free(options.results_dir, name)
    datasets.check(config.dataset, config.data_dir)
    if config.address is None:
        divide(cluster.machine_capacity(), config)
    folder = StudyFolder(options.results_dir / name)
    return Request(config, folder, False, options.name is not None, tuple(arguments))


def _is_text(argument: str) -> bool:
    try:
        return b"\0" not in argument.encode()
    except UnicodeEncodeError:  # bytes that were no text arrive as lone surrogates
        return False


def _check_path(flag: str, path: Path | None) -> None:
    """Raises BadInput for what no file system takes as a path. That nothing is there yet is no fault."""
    try:
        if path is not None:
            path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except OSError as error:
        raise BadInput(f"{flag} {str(path)!r}: {error.strerror}") from error


def _read_resume(options: Options, arguments: Sequence[str]) -> Request:
    """A study without study.json is begun afresh, as the same command without --resume would."""
    if options.name is not None and not (options.results_dir / check_name(options.name) / "study.json").exists():
        path = options.results_dir / options.name
        if not path.is_dir():
            raise BadInput(f"there is no study {path} to resume")
        return read_request([argument for argument in arguments if argument != "--resume"])
    if options.name is None:
        folder = StudyFolder.newest(options.results_dir)
    else:
        folder = StudyFolder.open(options.results_dir / options.name)
    study = folder.read_study()
    if study.get("format") != FORMAT:
        raise BadInput(f"{folder.path} is of format {study.get('format')!r}; this version reads format {FORMAT}")
    try:
        stored = StudyConfig.from_json(study.get("config", {}))
    except BadInput as error:
        raise BadInput(f"{folder.path}: {error}") from error
    trials = None if folder.journal.exists() else folder.read_trials()
    if trials is not None and len(trials):
        raise BadInput(f"{folder.journal} is missing and {len(trials)} trials with it: put it back, or begin anew")
    for setting, now in search_settings(stored, _n_train(folder, study)).items():
        if (before := study.get("search", {}).get(setting)) != now:
            raise BadInput(
                f"{folder.path} was begun by a version that searches otherwise ({setting} {before}, not {now}):"
                " go on with that version, or begin anew"
            )
    # A flag that says yes can be given again only where it is not set already; what was resolved stays so.
    asked = _absolute(parse(arguments, base=replace(stored, baseline=False)).config())
    asked = replace(
        asked,
        baseline=asked.baseline or stored.baseline,
        precision=stored.precision if asked.precision == "auto" else asked.precision,
    )
    for field in fields(StudyConfig):
        before, now = getattr(stored, field.name), getattr(asked, field.name)
        if before != now and field.name not in _FREE_ON_RESUME:
            flag = "--" + field.name.replace("_", "-")
            difference = "out " + flag if field.name == "baseline" else f" {flag} {_typed(before)}, not {_typed(now)}"
            raise BadInput(f"{folder.path} was begun with{difference}: leave the flag out, or begin anew")
    if asked.seeds < stored.seeds:
        raise BadInput(f"{folder.path} has --seeds {stored.seeds}: a study can be given more, not fewer")
    check(asked)
    return Request(asked, folder, True, True, tuple(arguments))


def _typed(value: Any) -> str:
    """A setting as the command line has it."""
    if isinstance(value, tuple):
        return " ".join(value)
    return "none" if value is None else str(value)


def _n_train(folder: StudyFolder, study: Mapping[str, Any]) -> int:
    data = study.get("data")
    n_train = data.get("n_train") if isinstance(data, dict) else None
    if type(n_train) is not int or n_train < 1:
        raise BadInput(f"{folder.path} does not say how many training images it was begun with")
    return n_train


def _absolute(config: StudyConfig) -> StudyConfig:
    """Workers run in other folders, and a study may be resumed from one."""
    data_dir = None if config.data_dir is None else config.data_dir.absolute()
    storage = config.storage
    if storage is not None and "://" not in storage:
        storage = str(Path(storage).absolute())
    return replace(config, data_dir=data_dir, storage=storage)


def _check_storage(config: StudyConfig) -> None:
    if config.storage is not None:
        account = config.storage.partition("://")[2].partition("/")[0].rpartition("@")[0]
        if ":" in account:
            raise BadInput(
                "--storage: who knows the study would know this password: leave it out of the URI, and give it as the"
                " storage's own tools take it, in the environment or a file of theirs"
            )
        try:
            CheckpointStore(config.storage)
        except ValueError as error:
            raise BadInput(f"--storage: {error}") from error


def load_dataset(config: StudyConfig) -> Dataset:
    """Reads the data set and cuts it to --train-size. Raises BadInput if it is too small to split."""
    dataset = datasets.load(config.dataset, config.data_dir)
    try:
        if config.train_size is not None:
            seed = integer(stream(config.seed, "subset"))
            dataset = replace(dataset, train=stratified_subset(dataset.train, config.train_size, seed))
        stratified_split(dataset.train.labels, seed=0)
    except TooFewImages as error:
        flag = "" if config.train_size is None else f"--train-size {config.train_size}: "
        hint = " (--train-size none takes all)" if len(dataset.train) < (config.train_size or 0) else ""
        raise BadInput(f"{flag}{error}{hint}") from error
    return dataset


@contextmanager
def created_folder(
    request: Request, config: StudyConfig, dataset: Dataset, networks: Mapping[str, dict[str, Any]]
) -> Iterator[Path | None]:
    """Makes the folder of a new study, study.json in it, and keeps others away from it.

    Args:
        networks: what `describe_networks` gives.

    Yields:
        Where runs were moved that lay in the folder without a study.json; None if there were none.

    Raises:
        BadInput: if the folder cannot be made.
    """
    with ExitStack() as stack:
        _hold_free_folder(request, stack)
        path = request.folder.path
        aside = request.folder.set_aside()
        StudyFolder.create(path.parent, path.name)
        request.folder.write_study(describe_study(path.name, request.arguments, config, networks, dataset))
        yield aside


def _hold_free_folder(request: Request, stack: ExitStack) -> None:
    """Holds the study's folder; if another study has it, one begun in the same second, and nobody asked for this name,
    the folder gets another."""
    first = request.folder.path
    for number in count(2):
        try:
            StudyFolder.check_free(first.parent, request.folder.path.name)
            with ExitStack() as attempt:
                attempt.enter_context(request.folder.held())
                StudyFolder.check_free(first.parent, request.folder.path.name)
                stack.enter_context(attempt.pop_all())
                return
        except BadInput:
            if request.is_named or not request.folder.path.exists():
                raise
            request.folder.path = first.with_name(f"{first.name}-{number}")


def describe_networks(config: StudyConfig, n_classes: int) -> dict[str, dict[str, Any]]:
    """Title, baseline, parameters and multiply-accumulates of each architecture, by its name.

    Raises:
        BadInput: if a network cannot predict an image.
    """
    return {arch: _describe_network(arch, config, n_classes) for arch in config.archs}


def _describe_network(arch: str, config: StudyConfig, n_classes: int) -> dict[str, Any]:
    architecture, baseline = ARCHITECTURES[arch], config.baseline_training(arch)
    try:
        model = architecture.build(n_classes, baseline.dropout)
        parameters, macs = count_parameters(model), count_macs(model)
    except Exception as error:  # a network is the user's code and may raise anything
        reason = " ".join(str(error).split())
        raise BadInput(f"the network {arch!r} cannot predict an image: {type(error).__name__}: {reason}") from error
    return {
        "title": architecture.title,
        "baseline": dict(baseline.values),
        "parameters": parameters,
        "macs": macs,
    }


def take_up_folder(request: Request, dataset: Dataset) -> None:
    """Brings study.json up to date, and notes this session there under `resumed`.

    Raises:
        BadInput: if the data are not those that the study was begun with.
    """
    study = request.folder.read_study()
    if (fingerprint := dataset.fingerprint()) != study["data"]["fingerprint"]:
        raise BadInput(
            f"the data are not those that {request.folder.path} was begun with: their fingerprint is"
            f" {fingerprint[:12]}, not {study['data']['fingerprint'][:12]}"
        )
    added = {"added_seeds": request.config.seeds - study["config"]["seeds"]}
    resumed = [*study.get("resumed", []), describe_session(request.arguments) | added]
    request.folder.write_study(study | {"config": request.config.to_json(), "resumed": resumed})
