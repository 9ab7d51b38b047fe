"""``python -m workers.cli`` is ``asidcat``."""

from workers.cli import main

main()
