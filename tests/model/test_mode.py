"""Three readings, every host: one that differs or is missing makes the whole unknown."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.mode import Mode, ModeReading, Switch, agreed_mode, agreed_switch
from tests.model.properties import tried

ALL = list(product(Mode, repeat=3))


@pytest.mark.parametrize("readings", ALL, ids=["-".join(readings) for readings in ALL])
def test_a_host_has_a_mode_only_if_all_three_readings_show_it(readings: tuple[Mode, Mode, Mode]) -> None:
    agreed = ModeReading(*readings).agreed
    assert (agreed is Mode.LIVE) == (set(readings) == {Mode.LIVE})
    assert (agreed is Mode.PAPER) == (set(readings) == {Mode.PAPER})


@tried()
@given(st.lists(st.sampled_from(list(Mode))))
def test_a_fleet_has_a_mode_only_if_every_host_has_it(modes: list[Mode]) -> None:
    agreed = agreed_mode(modes)
    assert agreed is Mode.UNKNOWN or (modes and all(mode is agreed for mode in modes))
    assert agreed_mode([*modes, Mode.UNKNOWN]) is Mode.UNKNOWN


@tried()
@given(st.lists(st.sampled_from(list(Switch))))
def test_a_fleet_is_armed_or_tripped_only_if_every_host_is(switches: list[Switch]) -> None:
    agreed = agreed_switch(switches)
    assert agreed is Switch.UNKNOWN or (switches and all(switch is agreed for switch in switches))
    assert agreed_switch([*switches, Switch.UNKNOWN]) is Switch.UNKNOWN


def test_a_fleet_of_no_hosts_proves_nothing() -> None:
    assert agreed_mode([]) is Mode.UNKNOWN
    assert agreed_switch([]) is Switch.UNKNOWN


def test_a_disagreement_is_told_by_reading() -> None:
    reading = ModeReading(Mode.LIVE, Mode.PAPER, Mode.PAPER)
    assert str(reading) == "declared live, loaded paper, observed paper"
