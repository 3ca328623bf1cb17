"""Gives a host its request, from memory that only Interlock and the Ansible it started can open.

What a lookup returns is never templated again, so no text in a request, a secret least of all, is taken for Jinja.
"""

from __future__ import annotations

import json
import os

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: interlock_request
short_description: the request for one host
description: Reads the request that Interlock passes to this run in memory.
options:
  _terms:
    description: the name of the host
    required: true
"""


class LookupModule(LookupBase):
    """One term, one request as JSON text."""

    def run(self, terms, variables=None, **kwargs):
        handle = os.environ.get("INTERLOCK_REQUESTS")
        if not handle:
            raise AnsibleError("this playbook is run by Interlock, which makes the plan, the fence and the proof")
        with open(f"/proc/self/fd/{int(handle)}", encoding="utf-8") as stream:
            requests = json.load(stream)
        return [json.dumps(requests[host]) for host in terms]
