"""Tests how often a trial or a run is tried again."""

from study.cluster.health.attempts import Attempts


def test_a_run_that_makes_no_progress_has_two_more_attempts() -> None:
    attempts = Attempts()
    assert [attempts.has_another("tiny-0", 0) for _ in range(3)] == [True, True, False]
    assert attempts.has_another("tiny-1", 0), "another run has its own"


def test_a_run_that_makes_progress_is_tried_again_however_often_its_machine_is_taken_away() -> None:
    attempts = Attempts()
    assert all(attempts.has_another("tiny-0", epoch) for epoch in range(1, 20))
    assert [attempts.has_another("tiny-0", 19) for _ in range(3)] == [True, True, False]


def test_what_was_completed_in_an_earlier_attempt_is_no_progress() -> None:
    attempts = Attempts()
    assert attempts.has_another("tiny-0", 5)
    assert [attempts.has_another("tiny-0", 5) for _ in range(3)] == [True, True, False]
