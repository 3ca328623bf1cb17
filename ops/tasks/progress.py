"""Shows a transition as it happens: rows on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ops.model.step import Ended
    from ops.transitions.progress import Progress


class Plain:
    """One line per event, for logs and pipes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._step = self._began

    def begins(self, verb: str, name: str, title: str) -> None:
        """The move's title and how long the whole has taken so far."""
        self._step = time.monotonic()
        print(f"{self._step - self._began:6.1f}s  {verb}: {title}", flush=True)

    def ends(self, name: str, ended: Ended) -> None:
        """What was seen, or each thing that could not be shown."""
        took = time.monotonic() - self._step
        print(f"         {'ok' if ended.proven else 'NOT PROVEN'}  {ended.seen}  ({took:.1f}s)", flush=True)
        for problem in ended.problems:
            print(f"         - {problem}", flush=True)

    def note(self, text: str) -> None:
        """A line between moves."""
        print(f"{time.monotonic() - self._began:6.1f}s  {text}", flush=True)


class Live:
    """A table on the terminal: one row per move with its time; the row under way counts up."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._rows: list[list[str]] = []
        self._began = self._step = time.monotonic()

    def begins(self, verb: str, name: str, title: str) -> None:
        """A new row."""
        self._step = time.monotonic()
        self._rows.append(["…", title, "", ""])
        self._show()

    def ends(self, name: str, ended: Ended) -> None:
        """The row's end."""
        took = f"{time.monotonic() - self._step:.1f}s"
        seen = ended.seen if ended.proven else "; ".join(ended.problems)
        self._rows[-1] = ["[green]✓[/]" if ended.proven else "[red]✗[/]", self._rows[-1][1], seen, took]
        self._show()

    def note(self, text: str) -> None:
        """A row without a mark."""
        self._rows.append(["", f"[dim]{text}[/]", "", ""])
        self._show()

    def __rich__(self) -> Any:
        """The table, with the running row's elapsed time as of now."""
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        for index, row in enumerate(self._rows):
            running = row[0] == "…" and index == len(self._rows) - 1
            table.add_row(*row[:3], f"{time.monotonic() - self._step:.0f}s" if running else row[3])
        table.add_row("", f"[dim]{time.monotonic() - self._began:.0f} s in all[/]")
        return table

    def _show(self) -> None:
        self._display.refresh()


@contextmanager
def shown(quiet: bool = False) -> Iterator[Progress]:
    """The progress that fits where the output goes."""
    from ops.transitions.progress import Silent

    if quiet:
        yield Silent()
    elif not sys.stdout.isatty():
        yield Plain()
    else:
        from rich.live import Live as Display

        with Display(refresh_per_second=4) as display:
            live = Live(display)
            display.update(live)
            yield live
