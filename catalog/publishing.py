"""Making a draft public: if it is not worse than the public release before it, or if told to."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, select, update

from catalog.checks import Check, check_release
from catalog.freezing import last_public, one_at_a_time, public_successor
from catalog.query import Answer
from catalog.release import ReleaseError, ReleaseRecord, release_record
from catalog.tables import Release


class PublicationRefused(ReleaseError):
    """A draft that is worse than the release before it; says why in one line."""

    def __init__(self, version: str, failed: Sequence[Check]) -> None:
        self.version, self.failed = version, tuple(failed)
        super().__init__(f"release {version} stays a draft: {reasons(failed)}")


def reasons(failed: Sequence[Check]) -> str:
    """What some checks asked in vain."""
    return "; ".join(f"{check.name}: {check.rule}, failed" for check in failed)


def publish(conn: Connection, version: str, *, anyway: bool = False) -> list[Check]:
    """Make a draft public; nothing if it is already.

    Parameters
    ----------
    anyway : bool
        Also if checks fail; they are written down as failed.

    Returns
    -------
    list of Check
        What was checked when it became public.

    Raises
    ------
    PublicationRefused
        If it is worse than its predecessor.
    ReleaseError
        If there is no such release, or another has followed its predecessor since.
    """
    one_at_a_time(conn)
    record = release_record(conn, version)
    if record.public:
        written = conn.scalar(select(Release.checks).where(Release.version == version))
        return [Check(**check) for check in written or ()]
    _require_free_place(conn, record)
    checks = check_release(conn, version)
    failed = [check for check in checks if not check.passed]
    if failed and not anyway:
        raise PublicationRefused(version, failed)
    conn.execute(
        update(Release)
        .where(Release.version == version)
        .values(status="public", published_at=func.clock_timestamp(), checks=[asdict(c) for c in checks])
    )
    return checks


def _require_free_place(conn: Connection, record: ReleaseRecord) -> None:
    """Refuse a draft whose place in the line another took since: it would be compared with the wrong one or none."""
    if record.predecessor is not None:
        other = public_successor(conn, record.predecessor)
        line = f"{record.predecessor}, and so does {other}, which is public"
    elif not record.provenance.get("first"):
        other = last_public(conn, record.survey.name)
        line = f"no other, and {other} has become public since"
    else:
        return
    if other is not None:
        raise ReleaseError(
            f"release {record.version} follows {line}: release run {record.run_id} again under a new version"
        )


def checks_table(checks: Sequence[Check]) -> Answer:
    """Checks as rows."""
    return Answer(("check", "passed", "rule"), [(c.name, c.passed, c.rule) for c in checks])
