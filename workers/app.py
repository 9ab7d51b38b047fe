"""The Celery application: one task, carrying the id of a work item, as a hint that it is due.

What is due, held and done is in the ledger. So there is no result backend, no retry and no chord here, and a
message that is lost, doubled or late does no harm.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError
from kombu.utils.url import maybe_sanitize_url
from redis.exceptions import RedisError

from workers.routing import gpu_queue
from workers.settings import Settings

TASK = "asidcat.work"
CONNECT_S = 5.0
_BROKER_ERRORS = (KombuError, AMQPError, RedisError, OSError)
_PUBLISH_RETRIES = {"max_retries": 3, "interval_start": 0.0, "interval_step": 0.5, "interval_max": 1.0}


class BrokerUnreachable(ConnectionError):
    """The broker cannot be reached, or has gone away; one line, without a password."""


def make_app(settings: Settings) -> Celery:
    """Celery for these settings; connects at first use.

    Parameters
    ----------
    settings : Settings
        With `database_url` and `broker_url` filled in (`workers.local.services`).
    """
    assert settings.broker_url is not None
    scheme = urlsplit(settings.broker_url).scheme
    app = Celery("asidcat", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # the lease says so; a rejected message may loop for ever
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=False,
        broker_connection_timeout=CONNECT_S,
        broker_transport_options=_transport_options(settings, scheme),
        task_default_queue=settings.queue,
        task_queues=[_queue(name, scheme) for name in (settings.queue, gpu_queue(settings))],
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_max_tasks_per_child=200,
    )

    @app.task(name=TASK)
    def work(item_id: int) -> None:
        # Imported in the pool's processes only: the parent must not load what does not survive a fork.
        from workers.tasks import work_on

        work_on(settings, item_id, lambda item_ids: send_hints(app, item_ids))

    return app


def _queue(name: str, scheme: str) -> Queue:
    # A quorum queue survives the loss of a RabbitMQ node; other brokers know no such argument.
    arguments = {"x-queue-type": "quorum"} if scheme.startswith(("amqp", "pyamqp")) else None
    return Queue(name, queue_arguments=arguments)


def _transport_options(settings: Settings, scheme: str) -> dict[str, Any]:
    if scheme.startswith(("redis", "rediss")):
        # A message may be delivered again once the lease it led to has run out, not before.
        return {"visibility_timeout": settings.lease_s, "socket_connect_timeout": CONNECT_S}
    if scheme.startswith(("amqp", "pyamqp")):
        return {"confirm_publish": True}
    if scheme == "filesystem":
        folder = Path(unquote(urlsplit(settings.broker_url or "").path))
        for name in ("messages", "control"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        messages = str(folder / "messages")
        control = str(folder / "control")
        return {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": control,
            "polling_interval": 0.1,
        }
    return {}


def _unreachable(url: str, reason: str) -> BrokerUnreachable:
    first = (reason.strip().splitlines() or ["no answer"])[0]
    return BrokerUnreachable(f"cannot use the broker {maybe_sanitize_url(url)}: {first}")


def require_broker(app: Celery) -> None:
    """Check that the broker can be reached and has, or can make, the queues.

    Raises
    ------
    BrokerUnreachable
    """
    url = app.conf.broker_url
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=2 * CONNECT_S)
            for queue in app.conf.task_queues:
                queue(connection.default_channel).declare()
    except _BROKER_ERRORS as error:
        raise _unreachable(url, str(error)) from error
    except (KeyError, ImportError) as error:
        raise _unreachable(url, f"no such kind of broker ({error.args[0]})") from error


def send_hints(app: Celery, item_ids: Iterable[int], queue: str | None = None) -> None:
    """Say that items are due, in the common queue or in the one named.

    Raises
    ------
    BrokerUnreachable
        If the broker stays away for some seconds.
    """
    try:
        with app.producer_pool.acquire(block=True) as producer:
            for item_id in item_ids:
                app.send_task(
                    TASK,
                    (item_id,),
                    producer=producer,
                    queue=queue,
                    retry=True,
                    retry_policy=_PUBLISH_RETRIES,
                )
    except _BROKER_ERRORS as error:
        raise _unreachable(app.conf.broker_url, str(error)) from error
