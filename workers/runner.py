"""One run from the observation to the associated catalogue: plan it, feed the broker, watch the ledger.

All knowledge of a run is in the database. This process may end at any moment, and another goes on from there
(`resume_run`); it computes nothing but the ingest.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import Connection, select

from catalog import ledger, store
from catalog.counts_tiles import write_counts
from catalog.engine import database_errors
from catalog.footprint import write_coverage
from catalog.store_characterisation import register_models
from catalog.tables import Observation, Run, WorkItem
from models.detectors import default_detector, default_threshold, require_detector, require_known
from models.likelihood.flags import flag_meanings
from sky.footprint import covered_cells, exposed_tiles
from sky.ingest import IngestedSky, ingest
from sky.observation import load_observation
from sky.response import load_response
from sky.tiles import TILE_ORDER
from workers.ahead import Expected
from workers.app import make_app, require_broker, send_hints
from workers.cubes import cube_folder
from workers.hints import QuietWatch
from workers.identity import dead_holders
from workers.networks import models_used, network_settings
from workers.plan import plan, tile_batches
from workers.pool import WorkerPool
from workers.progress import BarProgress, PlainProgress
from workers.references import named_references, require_references
from workers.routing import own_gpu_worker, queues_of
from workers.session import Session, open_session
from workers.settings import Settings
from workers.software import software_versions

# A look at the ledger costs a hundredth of a second here, and the database its share: a long run is looked at less often.
POLL_S, POLL_SHARE, LONGEST_POLL_S = 0.25, 1 / 30, 1.0
# A killed program costs its items a try each, which is not their fault: resuming does not count them.
_UNCOUNTED = 2**15 - 1
Announce = Callable[[int], None]
Written = Callable[[Connection, int], None]


class RunError(ValueError):
    """A run that cannot be begun or resumed, or that has failed; one line."""


@dataclass(frozen=True)
class RunRequest:
    """What a user asks for.

    Attributes
    ----------
    detector : str or None
        None for the survey's (`models.detectors.DEFAULT_DETECTORS`).
    seed : int
        Of every random draw of the run.
    tiles : sequence of int or None
        Only these tiles; None for the whole sky.
    threshold : float or None
        Detections of at least this `Det_Prob` make the catalogue: they are associated and can be released.
        All others stay in the database. None for the survey's (`models.detectors.default_threshold`).
    localiser : str or None
        How a network's output becomes positions; None for the network's own, or for the likelihood filter.
    class_network : str
        Architecture of the network that gives class probabilities: ``cutouts`` or ``cubes``.
    blind : bool
        No class probability may rest on the place on the sky.
    references : sequence of str
        Names of other reference catalogues of the database to find counterparts in.
    """

    detector: str | None = None
    seed: int = 1
    tiles: Sequence[int] | None = None
    threshold: float | None = None
    localiser: str | None = None
    class_network: str = "cutouts"
    blind: bool = False
    references: Sequence[str] = ()


@dataclass(frozen=True)
class _Machinery:
    session: Session
    app: Celery
    pools: list[WorkerPool]
    queues: Mapping[str, str]
    progress: BarProgress | PlainProgress


def start_run(
    settings: Settings,
    observation: Path,
    request: RunRequest,
    progress: BarProgress | PlainProgress,
    announce: Announce,
    written: Written = lambda conn, run_id: None,  # noqa: ARG005
) -> int:
    """Make a catalogue of an observation.

    Parameters
    ----------
    settings : Settings
    observation : Path
        ``observation.toml``.
    request : RunRequest
    progress : progress display
    announce : callable
        Told the run's id as soon as the run can be resumed.
    written : callable
        Called with the run's id in the transaction that writes the run down.

    Returns
    -------
    int
        The run's id.

    Raises
    ------
    RunError, ObservationError, InputError, DatabaseUnreachable, BrokerUnreachable, LocalServiceError
        One line each. If the input is at fault the database is as it was before.
    """
    tile_batches(request.tiles, settings.batch_tiles)  # tiles that do not exist are refused before reading
    manifest = load_observation(observation)
    detector = request.detector or default_detector(manifest.survey.name)
    require_known(detector, manifest.survey.name, request.localiser)
    threshold = request.threshold
    if threshold is None:
        threshold = default_threshold(manifest.survey.name, detector)
    networks = network_settings(manifest.survey.name, request.class_network, request.blind)
    expected = Expected(manifest.survey.name, load_response(manifest.irfs).irfs, detector)
    # The workers load their libraries while this process loads its own and reads the files.
    with (
        open_session(settings, broker=True) as session,
        _machinery(session, expected, progress) as machinery,
    ):
        localiser = require_detector(detector, manifest.survey.name, request.localiser)
        others = named_references(session.engine, request.references)
        progress.step(f"reading {manifest.name}")
        sky = ingest(manifest)
        exposed = tile_batches(_exposed(sky, request.tiles), settings.batch_tiles)
        batches = plan(exposed, sky.cube.by_cell(TILE_ORDER))
        sky.save(cube_folder(session.settings.home, sky.content_sha256))
        shaping = {
            "tiles": None if request.tiles is None else sorted(set(request.tiles)),
            "threshold": threshold,
            "localiser": localiser,
            "flags": flag_meanings(),
            "references": [*require_references(session.engine, progress.step), *others],
            **networks,
        }
        with database_errors(session.engine.url), session.engine.begin() as conn:
            run_id = _write_down(conn, sky, request.seed, detector, shaping, batches)
            written(conn, run_id)
        announce(run_id)
        _watch(machinery, run_id)
    return run_id


def _exposed(sky: IngestedSky, wanted: Sequence[int] | None) -> list[int]:
    """The tiles wanted that see anything."""
    exposed = exposed_tiles(sky.exposure)
    tiles = exposed if wanted is None else sorted(set(exposed) & set(wanted))
    if not tiles:
        raise RunError(f"{sky.manifest.path}: no exposure in the tiles asked for")
    return tiles


def resume_run(
    settings: Settings, run_id: int, progress: BarProgress | PlainProgress, announce: Announce
) -> int:
    """Go on with a run that was interrupted or has failed; nothing if it is done. Raises as `start_run`."""
    with open_session(settings, broker=True) as session:
        with database_errors(session.engine.url), session.engine.begin() as conn:
            if ledger.run_state(conn, run_id).status == "done":
                return run_id
            _require_cube(conn, run_id, settings.home)
            for name in dead_holders(conn, run_id):
                ledger.release_leases_of_dead(conn, name, _UNCOUNTED)
            ledger.reopen(conn, run_id)
            query = select(Observation.survey, Observation.irfs, Run.detector).join(Run)
            expected = Expected(*conn.execute(query.where(Run.id == run_id)).one())
        announce(run_id)
        with _machinery(session, expected, progress) as machinery:
            _watch(machinery, run_id)
    return run_id


@contextmanager
def _machinery(
    session: Session, expected: Expected, progress: BarProgress | PlainProgress
) -> Iterator[_Machinery]:
    """Broker and this machine's workers, while a run goes on."""
    app = make_app(session.settings)
    require_broker(app)
    with ExitStack() as stack:
        pools = [stack.enter_context(WorkerPool(session.settings, expected))]
        if own_gpu_worker(session.settings, expected.detector):
            pools.append(stack.enter_context(WorkerPool(session.settings, expected, gpu=True)))
        yield _Machinery(session, app, pools, queues_of(session.settings, expected.detector), progress)


def _require_cube(conn: Connection, run_id: int, home: Path) -> None:
    query = select(Observation.content_sha256, Observation.name).join(Run).where(Run.id == run_id)
    sha256, name = conn.execute(query).one()
    if not cube_folder(home, sha256).is_dir():
        raise RunError(f"{cube_folder(home, sha256)}: the counts cube of run {run_id} ({name}) is not there")


def _write_down(
    conn: Connection,
    sky: IngestedSky,
    seed: int,
    detector: str,
    shaping: Mapping[str, Any],
    batches: dict[str, list[tuple[int, ...]]],
) -> int:
    """Register the observation and write the whole run into the ledger."""
    manifest = sky.manifest
    observation_id = store.register_observation(
        conn,
        name=manifest.name,
        survey=manifest.survey.name,
        irfs=sky.irfs,
        content_sha256=sky.content_sha256,
        total_counts=sky.cube.total(),
        manifest=manifest.document,
        files=sky.files,
        tstart_met_s=sky.interval_met_s[0] if sky.interval_met_s else None,
        tstop_met_s=sky.interval_met_s[1] if sky.interval_met_s else None,
        slices_met_s=sky.cube.slices_met_s,
    )
    write_counts(conn, observation_id, sky.cube)
    write_coverage(conn, observation_id, covered_cells(sky.exposure))
    run_id = ledger.create_run(
        conn,
        observation_id,
        detector=detector,
        seed=seed,
        settings=shaping,
        software=software_versions(),
    )
    used = models_used(manifest.survey.name, detector, shaping["class_network"])
    register_models(conn, run_id, used)
    for stage, tiles in batches.items():
        ledger.plan_stage(conn, run_id, stage, tiles)
    ledger.advance(conn, run_id)
    return run_id


def _watch(machinery: _Machinery, run_id: int) -> None:
    """Keep a run going until it is done."""
    engine = machinery.session.engine
    max_attempts = machinery.session.settings.max_attempts
    before: dict[int, str] | None = None
    quiet, begun = QuietWatch(), time.monotonic()
    while True:
        for pool in machinery.pools:
            pool.keep_running()
        with database_errors(engine.url), engine.begin() as conn:
            for name in dead_holders(conn, run_id):
                ledger.release_leases_of_dead(conn, name, max_attempts)
            ledger.expire_leases(conn, run_id, max_attempts)
            state = ledger.advance(conn, run_id)
            stages = ledger.progress(conn, run_id)
            due = ledger.due_items(conn, run_id)
            now = _statuses(conn, run_id)
            if state.status == "done":
                store.analyze(conn)
        machinery.progress.update(stages, state.stage)
        if state.status == "done":
            return
        if state.status == "failed":
            raise RunError(f"run {run_id} failed: {state.error}")
        busy = "leased" in now.values()
        queue = machinery.queues.get(state.stage or "")
        if before is None:
            send_hints(machinery.app, due, queue)
        elif quiet.is_quiet(frozenset(now.items()), busy=busy):
            send_hints(machinery.app, due, queue)
            if queue and not busy:  # nobody listens there: whoever can is asked
                send_hints(machinery.app, due)
        else:
            # Given back by a worker that died or failed; the first hint is used up.
            send_hints(machinery.app, [item for item in due if before.get(item) == "leased"])
        before = now
        time.sleep(min(max(POLL_S, POLL_SHARE * (time.monotonic() - begun)), LONGEST_POLL_S))


def _statuses(conn: Connection, run_id: int) -> dict[int, str]:
    rows = conn.execute(select(WorkItem.id, WorkItem.status).where(WorkItem.run_id == run_id))
    return {row.id: row.status for row in rows}
