"""Embedded PostgreSQL and broker for a machine where no service runs."""

from workers.local.client import LocalServices, services
from workers.local.errors import LocalServiceError

__all__ = ["LocalServiceError", "LocalServices", "services"]
