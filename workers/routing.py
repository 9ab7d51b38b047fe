"""Which queue a hint goes to: detection by a network to the GPU workers' own, where there are any.

An ordinary worker never touches a GPU, so that one card is not shared by as many processes as there are cores.
Any worker can do any item: a hint in the wrong queue costs time, never a result.
"""

from models.detectors import NETWORK_DETECTORS, gpu_here
from workers.settings import Settings


def gpu_queue(settings: Settings) -> str:
    """Name of the queue that only GPU workers listen to."""
    return f"{settings.queue}.gpu"


def own_gpu_worker(settings: Settings, detector: str) -> bool:
    """Whether a run starts a GPU worker of its own on this machine."""
    return settings.gpu == "auto" and settings.workers > 0 and detector in NETWORK_DETECTORS and gpu_here()


def queues_of(settings: Settings, detector: str) -> dict[str, str]:
    """Queue of each stage's hints where it is not the common one."""
    elsewhere = settings.gpu == "queue" and detector in NETWORK_DETECTORS
    if elsewhere or own_gpu_worker(settings, detector):
        return {"detect": gpu_queue(settings)}
    return {}
