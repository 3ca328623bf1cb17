"""The same with ib_insync (extra `insync`): the public client, the adapter's clauses and the bot's door.

ib_insync and ib_async overwrite each other's `eventkit` (venues 1), so this Python is another one: a virtual
environment that holds ib_insync and takes everything else from this one's, and in which ib_async does not exist.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.house.tree import ROOT

VERSION = "0.9.86"
FOLDER = ROOT / ".pytest_cache" / f"ib_insync-{VERSION}-{sys.implementation.cache_tag}"
HERE = Path("tests/contracts/ibkr")
CHOSEN = {
    "test_ibkr_simulator": "unmodified_client",
    "test_ibkr_contract": "not (c14_every or c14_no_fault or c15)",
    "test_ibkr_adapter": "right or hand or name or hours or week or refused_order or silence or thread",
    "test_ibkr_broker": "lives or fills or unknown or lacks or own_connection",
}
"""What depends on the library; the rest has been seen with the other one."""


def installed() -> Path:
    """The Python with ib_insync, made when it is first needed; there is no other way to it than through pip."""
    python = FOLDER / "bin" / "python"
    if (FOLDER / "ready").exists():
        return python
    venv.create(FOLDER, clear=True, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--timeout=10"]
    got = subprocess.run(
        [*pip, "install", "-q", "--retries=1", f"ib_insync=={VERSION}"], capture_output=True, text=True, check=False
    )
    if got.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"ib_insync cannot be installed: {got.stderr[-500:]}")
        pytest.skip("pip cannot install ib_insync here")
    own, ours = Path(sysconfig.get_path("purelib", vars={"base": str(FOLDER)})), sysconfig.get_path("purelib")
    (own / "beneath.pth").write_text(f"{ours}\n")
    (own / "sitecustomize.py").write_text("import sys\n\nsys.modules['ib_async'] = None\n")
    (FOLDER / "ready").touch()
    return python


def test_the_contract_holds_with_ib_insync() -> None:
    chosen = " or ".join(f"({module} and ({names}))" for module, names in CHOSEN.items())
    words = [str(installed()), "-m", "pytest", *(str(HERE / f"{module}.py") for module in CHOSEN), "-k", chosen]
    plain = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "default", f"--confcutdir={HERE.parent}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run([*words, *plain], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
