"""Bad input: one line, status 2, and no trace on the disk."""

from pathlib import Path

import pytest

from study.cli.request import read_request
from study.run import main

# The data are read after the networks were checked, which takes a second for AlexNet.
DIGITS = ("--dataset", "digits", "--archs", "mobilenet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--archs", "resnet"], "there is no network 'resnet'"),
        (["--archs"], "at least one network"),
        (["--archs", "alexnet", "alexnet"], "twice"),
        (["--dataset", "mnist"], "mnist"),
        (["--precision", "fp8"], "fp8"),
        (["--preset", "huge"], "huge"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--trials", "-4"], "--trials must be at least 1"),
        (["--trials", "many"], "many"),
        (["--seeds", "0"], "--seeds"),
        (["--max-epochs", "0"], "--max-epochs"),
        (["--seed", "-1"], "--seed"),
        (["--concurrency", "0"], "--concurrency"),
        (["--cpus-per-trial", "0"], "--cpus-per-trial"),
        (["--cpus-per-trial", "nan"], "--cpus-per-trial"),
        (["--cpus-per-trial", "0.0001"], "--cpus-per-trial must be at least 0.001"),
        (["--gpus-per-trial", "0.0001"], "--gpus-per-trial must be 0 or at least 0.001"),
        (["--max-epochs", "1" + "0" * 400], "--max-epochs must be at most 1000000"),
        (["--cpus-per-trial", "4000"], "asks for more than the"),
        (["--gpus-per-trial", "-1"], "--gpus-per-trial"),
        (["--gpus-per-trial", "64"], "--gpus-per-trial 64 "),
        ([*DIGITS, "--train-size", "100000"], "(--train-size none takes all)"),
        ([*DIGITS, "--train-size", "12"], "too few"),
        ([*DIGITS, "--train-size", "3"], "3 training images"),
        (["--dataset", "folder"], "--data-dir"),
        (["--dataset", "folder", "--data-dir", "not-there"], "not-there"),
        (["--dataset", "cifar10", "--data-dir", "not-there"], "not-there"),
        (["--dataset", "digits", "--duplicates", "shred"], "there is no choice of duplicates 'shred'"),
        (["--dataset", "digits", "--test-share", "1.5"], "--test-share must be between 0 and 1"),
        (["--dataset", "digits", "--test-seed", "-1"], "--test-seed must be at least 0"),
        (["--dataset", "digits", "--group-by", "("], "is not a regular expression"),
        (["--dataset", "digits", "--group-by", "a"], "--group-by is for a folder of classes without train/ and test/"),
        (["--dataset", "digits", "--image-size", "7"], "--image-size must be from 8 to 224, not 7"),
        (["--dataset", "digits", "--image-size", "64"], "'alexnet' takes images of 32 pixels a side: leave the flag"),
        (["--dataset", "digits", "--image-size", "64"], "or compare networks that take 64, such as mobilenet"),
        (["--dataset", "torchvision:ImageNet"], "there is no data set of torchvision 'ImageNet'"),
        (["--dataset", "nowhere.at_all:function"], "the module 'nowhere.at_all' cannot be imported"),
        (["--turbo"], "--turbo"),
        (
            ["--dataset", "digits", "--storage", "s3://key:secret@bucket/a?region=x"],
            "could read this password",
        ),
        (["--dataset", "digits", "--storage", "hf://a/b"], "neither an absolute path nor a storage URI"),
        (["--dataset", "digits", "--name", "../outside"], "path component"),
        (["--dataset", "digits", "--name", ""], "path component"),
        (["--dataset", "digits", "--name", "a/b"], "path component"),
        (["--dataset", "digits", "--name=-x"], "no - first"),
        (["--dataset", "digits", "--results-dir", "a-file"], "cannot be written"),
        (["--dataset", "digits", "--name", "taken"], "--resume --name taken"),
        (["--dataset", "digits", "--name", "mine"], "not a study's"),
        (["--resume", "--name", "never"], "there is no study"),
        (["--resume", "--results-dir", "nowhere"], "there is no study"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_trace(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    (tmp_path / "results" / "taken").mkdir(parents=True)
    (tmp_path / "results" / "taken" / "study.json").write_text("{}")
    (tmp_path / "results" / "mine").mkdir()
    (tmp_path / "results" / "mine" / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" or out.startswith("Plan:\n")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_results_in_ray_s_copy_of_a_job_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ray job submit --working-dir` starts a program in such a folder."""
    folder = tmp_path / "session_1" / "runtime_resources" / "working_dir_files" / "_ray_pkg_0"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for words in ([], ["--resume"], ["--results-dir", "mine/results"]):
        assert main(["--dataset", "digits", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            f"error: --results-dir {words[-1] if len(words) > 1 else 'results'} lies in Ray's copy of the job's working"
            " folder, which Ray may delete: give a folder outside it, such as --results-dir '~/results'"
        )
    assert not list(folder.iterdir())
    outside = ["--dataset", "digits", "--results-dir", str(tmp_path / "results"), "--name", "mine"]
    assert read_request(outside).folder.path == tmp_path / "results" / "mine"
