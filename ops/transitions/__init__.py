"""The conductors: plan, gate, sign, act, look again, record. The only writers of the ledger besides kill."""
