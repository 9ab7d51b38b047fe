"""Scheduled releases: Celery's own beat sends a message when it is time to look, and one process looks.

Both live in one Celery worker with a queue of its own, which takes one message at a time. A message that comes
while a look goes on is not kept for later: the next one comes by itself.
"""

import logging
import multiprocessing
import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.schedules import ParseException, crontab
from celery.signals import worker_shutting_down
from kombu import Queue

from workers.app import make_app
from workers.cli.errors import one_line
from workers.settings import Settings, SettingsError

LOOK = "asidcat.look"
EXPIRES_S = 50.0  # sooner than the next minute of any schedule

logger = logging.getLogger(__name__)


def parse_schedule(text: str) -> crontab:
    """When to look, from the five fields of a crontab.

    Raises
    ------
    SettingsError
    """
    try:
        return crontab.from_string(" ".join(text.split()))
    except (ParseException, ValueError):
        raise SettingsError(
            f"beat_schedule: '{text}' is not like '0 6 * * *' (minute, hour, day of month, month, day of week)"
        ) from None


def make_beat(settings: Settings) -> Celery:
    """Celery with the schedule and its one task."""
    app = make_app(settings)
    # Set in the process that gets the signal, read in the one that it forks for each look.
    stopping = multiprocessing.get_context("fork").Event()
    worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    queue = f"{settings.queue}.beat"
    options = {"queue": queue, "expires": EXPIRES_S}
    app.conf.update(
        task_queues=[
            *app.conf.task_queues,
            Queue(queue, queue_arguments=app.conf.task_queues[0].queue_arguments),
        ],
        beat_schedule={
            "look": {"task": LOOK, "schedule": parse_schedule(settings.beat_schedule), "options": options}
        },
        worker_redirect_stdouts_level="INFO",
        worker_max_tasks_per_child=1,  # a look may take much memory, and a day may pass before the next
    )

    @app.task(name=LOOK, acks_late=False)
    def look_at_folder() -> None:
        from workers.watching import look

        try:
            look(settings, logger.info, stopping.is_set)
        except OSError as error:
            logger.error("%s; the next look goes on", one_line(error))

    return app


def run_beat(app: Celery, settings: Settings) -> None:
    """Look now and then on the schedule, until told to stop (SIGTERM, SIGINT: after the observation in hand)."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    # Celery sets the root logger to its own level; what looks say, and how far runs are, is told all the same.
    for told in (logger, logging.getLogger("celery.redirected")):
        told.setLevel("INFO")
    # Its warning of root's rights is for messages that are pickles; these are JSON.
    warnings.simplefilter("ignore", SecurityWarning)
    queue = f"{settings.queue}.beat"
    app.send_task(LOOK, queue=queue)
    # The schedule lives in memory: what is missed while no beat runs is made up by the first look.
    beat = ["--beat", "--scheduler", "celery.beat:Scheduler"]
    name = ["--hostname", f"asidcat-beat-{os.getpid()}@%h", "--without-gossip", "--without-mingle"]
    app.worker_main(
        ["--quiet", "worker", *beat, *name, "--queues", queue, "--concurrency", "1", "--loglevel", "WARNING"]
    )
