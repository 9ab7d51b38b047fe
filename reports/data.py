"""What the report reads; it writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from catalog.release import ReleaseRecord, release_record
from catalog.tables import ReferenceCatalog, ReferenceSource, Run
from reports import queries
from reports.against import ReportError, match, named_catalogs
from reports.in_range import signif_above
from sky.survey import Survey


@dataclass(frozen=True)
class ReportData:
    """A release and all it is compared with.

    Attributes
    ----------
    release : ReleaseRecord
        With its provenance: run, observation, inputs, references, settings, software.
    observation_id : int
    catalogs : DataFrame
        label, name, version, sha256, file_name, citation of each reference catalogue the run was associated
        with; the one with most sources first. truth: whether it is the truth of a simulated sky.
    sources : DataFrame
        One row a released source, by name: source_name, detection_id, ra_deg, dec_deg, glon_deg, glat_deg,
        det_prob, ts, conf_95_semimajor_deg, conf_95_semiminor_deg, conf_posang_deg, signif_avg, flux_cm2_s,
        unc_flux_cm2_s, index, npred, flags; prob_real, network_flux_cm2_s, unc_network_flux_cm2_s: NaN where
        the networks say nothing.
    candidates : DataFrame
        Detections of the run that were not released: id, glon_deg, glat_deg, det_prob, ts.
    references : DataFrame
        One row a reference source: id, catalog (its label), columns of `catalog.tables.ReferenceSource`;
        variability_index; signif_above: significance above the survey's lowest energy, where the catalogue
        tells; peak_met_s: when a variable source was brightest; counterpart_ra_deg, counterpart_dec_deg,
        unc_counterpart_deg: place of the associated object, where the catalogue tells (of a simulated source: its
        own); true_npred, true_flux_cm2_s: of a simulated source, NaN for others.
    associations : DataFrame
        One row a candidate: detection_id, reference_source_id, catalog, sep_deg, prob, matched_03,
        matched_05.
    classes : DataFrame
        detection_id, variant, bll, fsrq, psr, pwn_snr, fake; empty where the run had no class networks.
    cards : DataFrame
        name, sha256, card of the weights that the run used.
    simulation : ReportData or None
        Release of a simulated sky of this survey, whose truth tells completeness and purity.
    """

    release: ReleaseRecord
    observation_id: int
    catalogs: pd.DataFrame
    sources: pd.DataFrame
    candidates: pd.DataFrame
    references: pd.DataFrame
    associations: pd.DataFrame
    classes: pd.DataFrame
    cards: pd.DataFrame
    simulation: "ReportData | None" = None

    @property
    def survey(self) -> Survey:
        """The survey of the release."""
        return self.release.survey

    @property
    def run(self) -> dict[str, Any]:
        """Id, detector and seed of the run."""
        return self.release.provenance["run"]

    @property
    def observation(self) -> dict[str, Any]:
        """Name, survey, irfs, content_sha256, total_counts, tstart_met_s, tstop_met_s."""
        return self.release.provenance["observation"]

    @property
    def interval_met_s(self) -> tuple[float, float] | None:
        """First and last second of the observation, where they are known."""
        start, stop = self.observation["tstart_met_s"], self.observation["tstop_met_s"]
        return None if start is None or stop is None else (start, stop)

    @property
    def published(self) -> list[str]:
        """Labels of the reference catalogues, the truth of a simulated sky apart."""
        return list(self.catalogs.loc[~self.catalogs["truth"], "label"])

    @property
    def truths(self) -> list[str]:
        """Labels of the truths of simulated skies among the references."""
        return list(self.catalogs.loc[self.catalogs["truth"], "label"])

    @property
    def placed(self) -> list[str]:
        """Labels of those that know where their objects really are: the truth alone on a simulated sky.

        There the places of other catalogues' counterparts are not where the photons come from.
        """
        return self.truths or self.published

    def of_catalog(self, label: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Reference sources and associations of one reference catalogue."""
        return (
            self.references[self.references["catalog"] == label].reset_index(drop=True),
            self.associations[self.associations["catalog"] == label].reset_index(drop=True),
        )


def load(
    conn: sa.Connection, version: str, against: Sequence[str] = (), simulated: str | None = None
) -> ReportData:
    """Read a release and the reference catalogues that its run was associated with.

    Parameters
    ----------
    version : str
    against : sequence of str
        Names of other catalogues of the database to compare it with.
    simulated : str, optional
        Version of a simulated sky's release; by default the one that was named when this one was made.

    Raises
    ------
    catalog.release.ReleaseError
        If there is no such release.
    reports.against.ReportError
        If there is no such catalogue, or the simulated sky's release cannot tell anything of this one.
    sky.survey.SurveyError
        If the survey of its observation is unknown to this program.
    """
    release = release_record(conn, version)
    simulated = simulated or release.provenance.get("simulated")
    simulation = None if simulated is None else _simulation(conn, release, simulated)
    used = release.provenance["references"]
    more = [c for c in named_catalogs(conn, against) if c["sha256"] not in {u["sha256"] for u in used}]
    catalogs = _catalogs(conn, [*used, *more])
    label = catalogs.set_index("id")["label"]
    references = _references(conn, list(catalogs["id"]), release.survey)
    references.insert(1, "catalog", references.pop("catalog_id").map(label))
    references["signif_above"] = signif_above(references, release.survey.bands[0].emin_gev)
    true = references.loc[references["true_npred"].notna(), "catalog"].unique()
    sources = queries.frame(conn, queries.sources(version)).sort_values("source_name", ignore_index=True)
    associations = queries.frame(conn, queries.associations(version))
    associations.insert(2, "catalog", associations.pop("catalog_id").map(label))
    added = catalogs.loc[catalogs["sha256"].isin([c["sha256"] for c in more]), "label"]
    matched = [
        match(sources, references[references["catalog"] == name]).assign(catalog=name) for name in added
    ]
    associations = pd.concat([associations, *matched]) if matched else associations
    rank = {name: i for i, name in enumerate(catalogs["label"])}
    # Sorted here: the order of text in the database depends on where it runs.
    return ReportData(
        release=release,
        observation_id=int(conn.scalar(sa.select(Run.observation_id).where(Run.id == release.run_id)) or 0),
        catalogs=catalogs.drop(columns="id").assign(truth=catalogs["label"].isin(true)),
        sources=sources,
        candidates=queries.frame(conn, queries.candidates(version, release.run_id)).sort_values(
            "id", ignore_index=True
        ),
        references=references.sort_values("name").sort_values(
            "catalog", key=lambda c: c.map(rank), kind="stable", ignore_index=True
        ),
        associations=associations.sort_values(
            ["detection_id", "sep_deg", "reference_source_id"], ignore_index=True
        ),
        classes=queries.frame(conn, queries.class_probabilities(version)).sort_values(
            ["detection_id", "variant"], ignore_index=True
        ),
        cards=queries.frame(conn, queries.model_cards(release.run_id)).sort_values(
            ["name", "sha256"], ignore_index=True
        ),
        simulation=simulation,
    )


def _simulation(conn: sa.Connection, release: ReleaseRecord, version: str) -> ReportData:
    """A simulated sky's release, itself without another."""
    other = release_record(conn, version)
    if other.survey.name != release.survey.name:
        raise ReportError(f"release {version} is of survey {other.survey.name}, not {release.survey.name}")
    found = load(conn, version) if other.provenance.get("simulated") is None else None
    if found is None or not found.truths:
        raise ReportError(f"release {version} is not of a simulated sky: no truth is among its references")
    return found


def _references(conn: sa.Connection, catalog_ids: list[int], survey: Survey) -> pd.DataFrame:
    found = queries.frame(conn, queries.references(catalog_ids, survey.flux_column))
    bands = found.pop("true_npred_band")
    found["true_npred"] = np.array([np.nan if b is None else float(np.sum(b)) for b in bands], dtype=float)
    true = found["true_npred"].notna()
    found.loc[~true, "true_flux_cm2_s"] = np.nan
    for axis in ("ra_deg", "dec_deg"):
        found.loc[true, f"counterpart_{axis}"] = found.loc[true, axis]
    found.loc[true, "unc_counterpart_deg"] = 0.0
    return found


def _catalogs(conn: sa.Connection, used: list[dict[str, Any]]) -> pd.DataFrame:
    """Reference catalogues by size; the label has the version where a name comes twice."""
    size = (
        sa.select(sa.func.count()).where(ReferenceSource.catalog_id == ReferenceCatalog.id).scalar_subquery()
    )
    known = sa.select(ReferenceCatalog.id, ReferenceCatalog.sha256, size.label("size"))
    found = queries.frame(conn, known.where(ReferenceCatalog.sha256.in_([c["sha256"] for c in used])))
    columns = ["name", "version", "file_name", "sha256", "citation"]
    catalogs = pd.DataFrame(used, columns=columns).merge(found, on="sha256")
    catalogs = catalogs.sort_values(
        ["size", "name", "version"], ascending=[False, True, True], ignore_index=True
    )
    twice = catalogs["name"].duplicated(keep=False)
    label = catalogs["name"].where(~twice, catalogs["name"] + " " + catalogs["version"])
    return catalogs.drop(columns="size").assign(label=label)
