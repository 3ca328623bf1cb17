"""Writes what each host answered, one JSON line per event, to the file that INTERLOCK_EVENTS names.

Only our modules' own answers (`interlock`, `interlock_changes`), never arguments, never another task's output: a secret
has no way in. A host whose tasks gave no answer, as those of `site.yml` do not, gets one at the end: what was changed.
"""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: interlock_jsonl
type: stdout
short_description: one JSON line per event for Interlock
description: Events and typed answers; nothing is judged by printed text.
"""


class CallbackModule(CallbackBase):
    """Replaces Ansible's printed output."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "interlock_jsonl"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._changed, self._answered = {}, set()

    def _write(self, event, **more):
        with open(os.environ["INTERLOCK_EVENTS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"event": event, **more}) + "\n")

    def _result(self, event, result):
        answer = result._result.get("interlock")
        text = "" if answer else str(result._result.get("msg", ""))[:500]
        self._answered |= {result._host.get_name()} if answer else set()
        self._write(event, host=result._host.get_name(), task=result._task.get_name(), answer=answer, text=text)

    def _note_changes(self, result):
        """What a task changed (or would), in words: our module's own, else the task's name."""
        host, task = result._host.get_name(), result._task.name
        parts = result._result.get("results") or [result._result]
        for part in parts:
            if part.get("changed"):
                self._changed.setdefault(host, []).extend(part.get("interlock_changes") or [task])

    def v2_runner_on_ok(self, result):
        if result._result.get("changed"):
            self._note_changes(result)
            self._write("changed", host=result._host.get_name(), task=result._task.get_name())
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._result("skipped", result)

    def v2_playbook_on_stats(self, stats):
        for host in set(stats.processed) - set(stats.dark) - set(stats.failures) - self._answered:
            self._write("done", host=host, answer={"ok": True, "done": {"changed": self._changed.get(host, [])}})
        self._write(
            "stats",
            processed=sorted(stats.processed),
            dark=sorted(stats.dark),
            failures=sorted(stats.failures),
        )
