"""Scheduled releases: Celery's own beat sends a message when it is time to look, and one process looks.

Both live in one Celery worker with a queue of its own, which takes one message at a time. A message that comes
while a look goes on is not kept for later: the next one comes by itself.
"""

import logging
import os

from celery import Celery
from celery.schedules import ParseException, crontab
from kombu import Queue

from workers.app import make_app
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
        worker_max_tasks_per_child=1,  # a look may take much memory, and a day may pass before the next
    )

    @app.task(name=LOOK, acks_late=False)
    def look_at_folder() -> None:
        from workers.watching import look

        try:
            look(settings, logger.info)
        except OSError as error:
            logger.error("%s; the next look goes on", " ".join(str(error).split()))

    return app


def run_beat(app: Celery, settings: Settings) -> None:
    """Look now and then on the schedule, until told to stop (SIGTERM, SIGINT: after the look in hand)."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    queue = f"{settings.queue}.beat"
    app.send_task(LOOK, queue=queue)
    # The schedule lives in memory: what is missed while no beat runs is made up by the first look.
    beat = ["--beat", "--scheduler", "celery.beat:Scheduler"]
    name = ["--hostname", f"asidcat-beat-{os.getpid()}@%h", "--without-gossip", "--without-mingle"]
    app.worker_main(
        ["--quiet", "worker", *beat, *name, "--queues", queue, "--concurrency", "1", "--loglevel", "WARNING"]
    )
