"""Short forms of the figures that `make soak` takes: the same code, for seconds instead of minutes."""

from pathlib import Path

import pytest

import places
from soak import figures, handover, kills, mixture, neighbours, schedules, storm

SEED = 1


@pytest.fixture
def executable() -> Path:
    return Path(places.mcpagg())


def check(taken: list[figures.Figure], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{figures.table(taken)}")
    figures.check(taken)


def test_a_call_on_a_server_that_is_removed_or_changed_has_its_real_result(executable, capsys):
    check(handover.run(executable, SEED, turns=1), capsys)


def test_whatever_may_happen_one_thing_after_another(executable, capsys):
    check(schedules.run(executable, SEED, schedules=40), capsys)


def test_kills_at_random_moments_leave_nothing(executable, capsys):
    check(kills.run(executable, SEED, kills=60), capsys)


def test_saves_in_quick_succession_disturb_no_call(executable, capsys):
    check(storm.run(executable, SEED, saves=20, seconds=2), capsys)


def test_a_bad_server_or_host_is_no_burden_for_the_others(executable, capsys):
    # Too short, and too much beside other work, for times: what is judged is memory, and that all is answered as it should be.
    taken = neighbours.run(executable, SEED, blocks=2, block=0.3, factor=None, repeats=1, comes_first=False)
    check([figure for figure in taken if not figure.is_least], capsys)


def test_a_mixture_of_everything_leaves_nothing_behind(executable, capsys):
    check(mixture.run(executable, SEED, seconds=20, warm_up=None, rest_every=10), capsys)
