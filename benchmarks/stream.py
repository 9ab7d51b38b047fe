"""Tiles and cut-outs a second of the training streams, and of the training that tiles feed, on this machine.

Run ``python -m benchmarks.stream [--survey lat-10gev] [--processes 2] [--device cpu]``; with ``--cutouts`` the
cut-outs alone, on one core.
"""

import argparse
import json
import time
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.machine import RESULTS, describe
from models.cutouts import CutoutStream
from models.render import plane_stamps
from models.stream import TileBatch, TileStream
from models.training.loop import fast_bf16
from models.training.losses import localisation_loss
from models.unet import NetworkConfig, UNet
from sky.survey import Survey, get_survey


def stream_rate(survey: Survey, processes: int, device: str, seconds: float) -> float:
    """Tiles a second over at least `seconds`, making of new skies included."""
    for plane in range(len(survey.planes)):
        plane_stamps(survey, survey.irfs, plane)  # once, before the processes fork
    stream = TileStream(survey, 1, batches_per_sky=24, device=device)
    loader = DataLoader(stream, batch_size=None, num_workers=0 if device != "cpu" else processes)
    batches = iter(loader)
    next(batches)
    tiles, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        tiles += len(next(batches).mask)
    return tiles / (time.perf_counter() - started)


def training_rate(survey: Survey, batch: TileBatch, device: str, steps: int = 6) -> float:
    """Tiles a second of forward and backward pass alone, on batches that are there."""
    network = UNet(NetworkConfig(survey.name)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = batch.to(device)
    started = 0.0
    for step in range(steps + 1):
        if step == 1:
            started = time.perf_counter()
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=fast_bf16(device)):
            out = network(batch.images)
        localisation_loss(out, batch)["total"].backward()
    return steps * len(batch.mask) / (time.perf_counter() - started)


def cutout_rates(survey: Survey, skies: int) -> dict[str, float]:
    """Cut-outs a processor second on one core, slowest and fastest sky, and with the making of skies in it."""
    batches, started, total, rates = 16, time.process_time(), 0, []
    stream = iter(CutoutStream(survey, 1, batches_per_sky=batches))
    for _ in range(skies):
        total += len(next(stream)[0])  # the first of a sky waits for the sky
        begun, number = time.process_time(), 0
        for _ in range(batches - 1):
            number += len(next(stream)[0])
        rates.append(number / (time.process_time() - begun))
        total += number
    whole = total / (time.process_time() - started)
    return {"slowest_sky": min(rates), "fastest_sky": max(rates), "with_skies": whole}


def main() -> None:
    """Measure and write `results/stream-SURVEY.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", default="lat-10gev")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--cutouts", action="store_true", help="the cut-outs of four skies instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    survey = get_survey(arguments.survey)
    if arguments.cutouts:
        path = RESULTS / f"cutouts-{survey.name}.json"
        measured = {"cutouts_per_core_s": rounded(cutout_rates(survey, 4))}
    else:
        path = RESULTS / f"stream-{survey.name}.json"
        measured = tile_rates(survey, arguments.processes, arguments.device, arguments.seconds)
    result = {"survey": survey.name, **measured, "measured_on": describe()}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def tile_rates(survey: Survey, processes: int, device: str, seconds: float) -> dict[str, Any]:
    """Tiles of the stream, and of a training on them."""
    batch = next(iter(TileStream(survey, 2)))
    rates = {
        "stream": stream_rate(survey, processes, device, seconds),
        "training_one_thread": training_rate(survey, batch, device),
    }
    return {"processes": processes, "device": device, "tiles_per_s": rounded(rates)}


def rounded(rates: dict[str, float]) -> dict[str, float]:
    """For a table."""
    return {name: round(rate, 1) for name, rate in rates.items()}


if __name__ == "__main__":
    main()
