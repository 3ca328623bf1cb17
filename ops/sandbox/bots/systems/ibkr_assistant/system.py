"""What the assistant of seed 004 is told.

Mode: ENV=live (anything else is paper) together with IBKR_PORT and IBKR_ACCOUNT. The account decides: numbers that
begin with DU or DF are paper, so ENV=live with one of those stays paper. The port is a hint (contradiction C22): 7497
and 4002 are known paper ports and keep it on paper too, 7496 and 4001 are known live ones, any other says nothing.
IBKR_HOST and IBKR_PORT are where TWS or the Gateway listens; there are no keys. The limits have their usual names, R1
to R12 stand in RISK_POLICY, the approver's caps in APPROVAL_POLICY (both optional: the files beside this module).
BOT_PORT (8000) is the API's, DASHBOARD_PORT (8080) the dashboard's, MCP_PORT (8090) the MCP server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from ...environment import Reader, matching, whole
from ...settings import Frame, Settings, Sizing, VenueAccess, read_symbols, usual_limits
from ...system import System
from ...trading.habits import Habits
from ...venue import Access, Secret
from .assistant import Assistant
from .policy import read_approval_policy, read_risk_policy

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ...trading.loop import Worker

MODE_VARIABLES = ("ENV", "IBKR_PORT")
PAPER_PORTS, LIVE_PORTS = ("7497", "4002"), ("7496", "4001")
PAPER_ACCOUNTS = ("DU", "DF")
API_PORT = 8000
_HERE = Path(__file__).parent
_NONE = Secret("")


def mode_of(environ: Mapping[str, str]) -> tuple[str, bool]:
    """(mode, whether word, account and port say one thing)."""
    word, port, account = (environ.get(name, "") for name in (*MODE_VARIABLES, "IBKR_ACCOUNT"))
    of_paper = account.startswith(PAPER_ACCOUNTS)
    live = word == "live" and port not in PAPER_PORTS and not of_paper and account != ""
    fitting = port not in LIVE_PORTS and of_paper and word == "paper"
    return ("live" if live else "paper"), live or fitting


def _access(reader: Reader, mode: str) -> VenueAccess:
    host = reader.optional("IBKR_HOST", "127.0.0.1", matching(r"[A-Za-z0-9.\-]+"), "a host")
    port = reader.read("IBKR_PORT", whole(1, 65535), "a port", 0)
    account = reader.read("IBKR_ACCOUNT", matching(r"[A-Z]{1,2}[0-9]{1,12}"), "an account id", "")
    access = Access(
        mode=mode,
        endpoint=f"tcp://{host}:{port}",
        data_url="",
        account=account,
        key=_NONE,
        secret=_NONE,
        passphrase=_NONE,
        wallet=_NONE,
    )
    return VenueAccess("ibkr", access)


def read(environ: Mapping[str, str]) -> tuple[Settings, Habits]:
    """Raises SettingsError naming each variable that is missing or invalid, or the policy file that is."""
    reader = Reader(environ)
    frame = Frame.read(reader, default_port=API_PORT)
    mode, agree = mode_of(environ)
    settings = Settings(
        **vars(frame),
        system="ibkr-assistant",
        mode=mode,
        variables={name: environ.get(name, "") for name in MODE_VARIABLES},
        agree=agree,
        venues={"ibkr": _access(reader, mode)},
        symbols=read_symbols(reader, ("ibkr",)),
        order_prefix=f"{frame.instance}-{mode[0]}-",
        sizing=Sizing(units=Decimal(2)),
        limits=usual_limits(reader),
        log_file=frame.home / "logs" / "assistant_api.log",
        starts_tripped=True,
    )
    risk = reader.optional("RISK_POLICY", str(_HERE / "risk_policy.yml"), Path, "a path")
    approval = reader.optional("APPROVAL_POLICY", str(_HERE / "approval_policy.yml"), Path, "a path")
    reader.refuse()
    return settings, Assistant(read_risk_policy(risk), read_approval_policy(approval))


def app(worker: Worker) -> FastAPI:
    """Its HTTP surface."""
    from .api import create_app

    return create_app(worker)


def _beside(environ: Mapping[str, str], variable: str, default: int) -> tuple[int, int]:
    """(the service's own port, the API's port)."""
    reader = Reader(environ)
    port = reader.optional(variable, str(default), whole(0, 65535), "a port")
    api = reader.optional("BOT_PORT", str(API_PORT), whole(1, 65535), "a port")
    reader.refuse()
    return port, api


def mcp_server(environ: Mapping[str, str]) -> tuple[FastAPI, int]:
    """The service that language models talk to."""
    from .mcp_server import create_app

    port, api = _beside(environ, "MCP_PORT", 8090)
    return create_app(api, environ.get("ENV", "")), port


def dashboard(environ: Mapping[str, str]) -> tuple[FastAPI, int]:
    """The page that people look at."""
    from .dashboard import create_app

    port, api = _beside(environ, "DASHBOARD_PORT", 8080)
    return create_app(api, environ.get("ENV", "")), port


SYSTEM = System("ibkr-assistant", read, app, {"mcp_server": mcp_server, "dashboard": dashboard})
