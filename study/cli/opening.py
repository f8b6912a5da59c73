"""The folder of a study: a new one is made, an old one is brought up to date."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from models.data import Dataset
from models.networks.inspection.fingerprint import difference
from study.cli.request import Request
from study.earlier.telling import Telling
from study.errors import BadInput
from study.settings.config import StudyConfig
from study.settings.file.whole import whole_file
from study.settings.networks import shared_space
from study.storage.claim import check_free, create, held, set_aside
from study.storage.provenance import describe_networks, describe_session, describe_study


@contextmanager
def created_folder(
    request: Request,
    config: StudyConfig,
    dataset: Dataset,
    networks: Mapping[str, dict[str, Any]],
    telling: Telling | None = None,
) -> Iterator[Path | None]:
    """Make the folder of a new study with its study.json, and keep other drivers away from it.

    Args:
        networks: each network's entry in study.json, by its name, as `describe_networks` returns them.
        telling: the trials that an earlier study tells the new one.

    Yields:
        The folder to which results without a study.json were moved; None if there were none.

    Raises:
        BadInput: if the folder cannot be made.
    """
    with ExitStack() as stack:
        _hold_free_folder(request, stack)
        path = request.folder.path
        aside = set_aside(path)
        create(path.parent, path.name)
        if dataset.findings.split:
            request.folder.write_split(dataset.findings.split)
        if dataset.findings.repeats:
            request.folder.write_repeats(dataset.findings.repeats, dataset.findings.pairs)
        origin = None
        if telling is not None:
            telling.write(request.folder)
            origin = telling.origin
        request.folder.write_study(describe_study(path.name, request.arguments, config, networks, dataset, origin))
        request.folder.write_config(whole_file(config, origin))
        yield aside


def _hold_free_folder(request: Request, stack: ExitStack) -> None:
    """Hold the study's folder. If another study has it, begun in the same second, choose another name unless the user
    asked for this one."""
    first = request.folder.path
    for number in count(2):
        try:
            check_free(first.parent, request.folder.path.name)
            with ExitStack() as attempt:
                attempt.enter_context(held(request.folder.path))
                check_free(first.parent, request.folder.path.name)
                stack.enter_context(attempt.pop_all())
                return
        except BadInput:
            if request.is_named or not request.folder.path.exists():
                raise
            request.folder.path = first.with_name(f"{first.name}-{number}")


def take_up_folder(request: Request, dataset: Dataset) -> None:
    """Bring study.json up to date, and note this session there under `resumed`.

    Raises:
        BadInput: if the study was begun with other data, or with other networks under the same names.
    """
    study = request.folder.read_study()
    if (fingerprint := dataset.fingerprint()) != study["data"]["fingerprint"]:
        begun, now = study["data"]["classes"], list(dataset.classes)
        if begun != now and sorted(begun) == sorted(now):
            raise BadInput(
                f"{request.folder.path} was begun by a version with another order of the classes"
                f" ({', '.join(begun[:5])}, not {', '.join(now[:5])}): go on with that version, or begin anew"
            )
        raise BadInput(
            f"{request.folder.path} was begun with other data: the fingerprint is {fingerprint[:12]} now, not"
            f" {study['data']['fingerprint'][:12]}; put the old data back, or begin anew"
        )
    config, networks = request.config, _same_networks(request, study, len(dataset.classes))
    added: dict[str, Any] = {"added_seeds": 0 if config.seeds == "auto" else config.seeds - study["config"]["seeds"]}
    if trials := config.trials - study["config"]["trials"]:
        added["added_trials"] = trials
    if archs := [arch for arch in networks if arch not in study["architectures"]]:
        added["added_networks"] = archs
        # The networks may share less of their spaces from now on.
        spaces = {arch: {"space": now["space"]} if "space" in now else {} for arch, now in networks.items()}
        begun = study["architectures"]
        study["architectures"] = {arch: begun.get(arch, now) | spaces[arch] for arch, now in networks.items()}
        study["search"]["space"] = shared_space(config)
    resumed = [*study.get("resumed", []), describe_session(request.arguments) | added]
    request.folder.write_study(study | {"config": config.to_json(), "resumed": resumed})
    request.folder.write_config(whole_file(config, study.get("origin")))


def _same_networks(request: Request, study: Mapping[str, Any], n_classes: int) -> dict[str, dict[str, Any]]:
    """Return each network's entry in study.json, as `describe_networks` returns them.

    A study of a version without fingerprints is compared by its parameters and baselines.

    Raises:
        BadInput: if a network is not the network that the study was begun with.
    """
    networks = describe_networks(request.config, n_classes, request.notes)
    for arch, now in networks.items():
        begun = study["architectures"].get(arch, now)
        if "fingerprint" in begun:
            changed = difference(begun["fingerprint"], now["fingerprint"])
        else:
            names = (name for name in ("parameters", "baseline") if begun[name] != now[name])
            changed = next((f"its {name}: {now[name]} now, {begun[name]} then" for name in names), None)
        if changed is not None:
            raise BadInput(
                f"{request.folder.path} was begun with another network {arch!r}: {changed}. Put the old code back, or"
                " begin anew"
            )
    return networks
