"""The Invoke namespace: `invoke --list` shows what Interlock can do, `invoke --help go-live` teaches one verb."""

from ops.tasks import namespace as ns

__all__ = ["ns"]
