"""The env file: whose it is, who may read it, and that it holds what was planned and nothing of the other mode."""

from __future__ import annotations

import pytest


def test_env_file_is_a_plain_file(seen):
    env = seen["env"]
    assert env["kind"] == "file", f"it is a {env['kind']}"
    assert env["links"] == 1, f"it has {env['links']} hard links"


def test_env_file_belongs_to_its_owner(seen, owner):
    assert seen["env"].get("uid") == owner, f"it belongs to user id {seen['env'].get('uid')}"


def test_env_file_may_be_read_by_its_owner_only(seen):
    mode = seen["env"].get("mode", 0o7777)
    assert mode == 0o600, f"its mode is {mode:04o}"


def test_env_file_has_no_access_list(seen):
    assert seen["env"].get("access_list") is False, "an access list gives it to others"


def test_env_file_is_the_planned_one(seen, wanted):
    """But for the bot's own secrets, which nobody planned and which do not leave the machine."""
    assert seen["env"].get("sha256") == wanted["env_sha256"], "its content is not the planned one"


def test_env_file_sets_the_mode(seen, wanted):
    found = seen["env"].get("variables")
    assert found == wanted["mode"], f"it says {found}"


def test_env_file_holds_the_planned_keys(seen, wanted):
    if not wanted["keys"]:
        pytest.skip("the venues of this bot know no keys")
    found = seen["env"].get("fingerprints", {})
    unlike = [variable for variable, mark in wanted["keys"].items() if found.get(variable) != mark]
    assert not unlike, f"another key, or none, stands in {', '.join(unlike)}"


def test_env_file_holds_no_key_of_the_other_mode(seen, wanted):
    if not wanted["foreign"]:
        pytest.skip("no key of the other mode is known here")
    assert seen["env"].get("foreign") == [], f"a key of the other mode stands in {seen['env'].get('foreign')}"


def test_env_file_has_no_copy_beside_it(seen):
    assert seen["env"].get("beside") == [], f"beside it: {seen['env'].get('beside')}"
