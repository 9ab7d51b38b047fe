"""A Celery worker of this program: in the foreground for `asidcat worker`, or as a run's own helper.

``python -m workers.celery_worker`` is the helper, with ``--gpu`` the one for its GPU; ``--ahead`` says what it
will be asked for. Its standard input is a pipe that its run holds open: when the pipe ends, the run has gone, in
whatever way, and every process of the worker kills itself. That works on any system, and costs one sleeping thread.
"""

import argparse
import importlib
import logging
import os
import signal
import threading

from celery import Celery
from celery.signals import worker_process_init

from workers.ahead import Expected, load_networks, make_tables
from workers.app import make_app
from workers.memory import keep_freed_memory
from workers.routing import gpu_queue
from workers.settings import Settings, load_settings

# What tasks import. Loaded before the fork, once for all processes; torch is not among them and must not be.
_PRELOAD = ("workers.tasks",)


def run_worker(app: Celery, settings: Settings, concurrency: int, *, gpu: bool = False) -> None:
    """Work until told to stop (SIGTERM, SIGINT: after the present tasks), on the GPU's queue or the common one."""
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    keep_freed_memory()
    queue = gpu_queue(settings) if gpu else settings.queue
    for module in _PRELOAD:
        importlib.import_module(module)
    level = settings.log_level
    logging.basicConfig(level=level, format="%(asctime)s %(processName)s %(levelname)s %(message)s")
    options = ["--queues", queue, "--concurrency", str(concurrency), "--loglevel", level]
    app.worker_main(["--quiet", "worker", *options, "--without-gossip", "--without-mingle"])


def _die_with(pipe: int) -> None:
    """Kill this process group when the pipe ends."""

    def watch() -> None:
        while os.read(pipe, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="watch-run").start()


def main() -> None:
    """Be a run's helper."""
    pipe = os.dup(0)  # billiard closes standard input in the processes it forks
    _die_with(pipe)
    worker_process_init.connect(lambda **_: _die_with(pipe), weak=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = load_settings()
    app = make_app(settings)
    app.conf.worker_enable_remote_control = False
    arguments = _arguments()
    if arguments.ahead:
        _get_ready(Expected(*arguments.ahead))
    run_worker(app, settings, 1 if arguments.gpu else settings.workers, gpu=arguments.gpu)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--ahead", nargs=3, metavar=("SURVEY", "IRFS", "DETECTOR"))
    return parser.parse_args()


def _get_ready(expected: Expected) -> None:
    """Make here what survives a fork, and let every process load the rest beside whatever it does first."""
    keep_freed_memory()
    make_tables(expected)

    def begin(**_: object) -> None:
        threading.Thread(target=load_networks, args=(expected,), daemon=True, name="load-networks").start()

    worker_process_init.connect(begin, weak=False)


if __name__ == "__main__":
    main()
