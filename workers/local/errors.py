"""What can go wrong with the services the program brings along."""


class LocalServiceError(OSError):
    """An embedded service could not be started, or has gone away; one line."""
