"""The separate small path that stops everything: no lock, no gate, no Ansible, no healthy ledger.

Standard library only.
"""
