from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.abtest.arms import PLANTED, arms_of, assigned
from mmbee_plugin.errors import InputError

USERS = [f"u{user}" for user in range(20_000)]


def test_arms_are_balanced_and_independent_between_seeds():
    first, second = assigned(USERS, 1, 4), assigned(USERS, 2, 4)
    both = np.bincount(4 * first + second, minlength=16)
    assert np.abs(both - 1250).max() < 5 * np.sqrt(1250)


def test_a_users_arm_hangs_on_its_id_alone():
    everyone = assigned(USERS, 1, 4)
    assert assigned(USERS[::-7], 1, 4).tolist() == everyone[::-7].tolist()
    assert everyone[:12].tolist() == [1, 3, 2, 3, 2, 1, 2, 3, 1, 3, 0, 3]  # the same in every release


def test_sim_is_mmbee_without_content_and_graph():
    sim, mmbee, again, best = arms_of(["SIM", "MMBee"])
    assert sim.settings == {"backbone": "sim", "content": "none", "interest": "none"} == again.settings
    assert mmbee.settings == {"backbone": "sim", "content": "mfq", "interest": "gie"}
    assert (again.name, best.name, best.ranks) == ("A/A: SIM again", "best possible", PLANTED)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["SIM", "Sim"], "arm 'Sim' is unknown; known: MMBee, MMoE, "),
        (["SIM"], "--arms SIM: a control and other arms are needed, each once"),
        (["SIM", "MMBee", "SIM"], "each once"),
    ],
)
def test_bad_arms_are_one_line(names, message):
    with pytest.raises(InputError, match=message):
        arms_of(names)
