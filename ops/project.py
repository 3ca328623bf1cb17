"""Where Interlock's folders are: in the project that one stands in, as Invoke finds its tasks.py.

`INTERLOCK_INVENTORY` and `INTERLOCK_STATE` name other folders than the project's `inventory` and `.interlock`.
Standard library only: the kill path uses it too.
"""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The nearest folder upwards that has a tasks.py; the current one if there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "tasks.py").is_file()), here)


def inventory_root() -> Path:
    """The folder of environments."""
    named = os.environ.get("INTERLOCK_INVENTORY")
    return Path(named).absolute() if named else project_root() / "inventory"


def state_root() -> Path:
    """The folder that Interlock writes to."""
    named = os.environ.get("INTERLOCK_STATE")
    return Path(named).absolute() if named else project_root() / ".interlock"
