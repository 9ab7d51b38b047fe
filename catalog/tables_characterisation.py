"""The schema of characterisation: networks, classes, extension, light curves, and the models that were used."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from catalog.tables_base import Base, not_negative, one_of

CLASSES = ("bll", "fsrq", "psr", "pwn_snr", "fake")
"""Columns of `class_probability`, in the order of every array of class probabilities."""
VARIANTS = ("full", "blind")
"""With the place on the sky among what the network sees, and without it."""


def _of_detection() -> Mapped[int]:
    return mapped_column(BigInteger, ForeignKey("detection.id", ondelete="CASCADE"), primary_key=True)


class EnergyBand(Base):
    """One energy band of an observation, as its survey had it."""

    __tablename__ = "energy_band"
    __table_args__ = (
        CheckConstraint("band >= 0", name="band_not_negative"),
        CheckConstraint("emin_gev > 0 AND emax_gev > emin_gev AND emax_gev < 'Infinity'", name="edges_order"),
    )

    observation_id: Mapped[int] = mapped_column(
        ForeignKey("observation.id", ondelete="CASCADE"), primary_key=True
    )
    band: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    emin_gev: Mapped[float]
    emax_gev: Mapped[float]


class TimeSlice(Base):
    """One time slice of an observation; none where time is not resolved."""

    __tablename__ = "time_slice"
    __table_args__ = (
        CheckConstraint("slice >= 0", name="slice_not_negative"),
        CheckConstraint(
            "tstop_met_s > tstart_met_s AND tstop_met_s < 'Infinity' AND tstart_met_s > '-Infinity'",
            name="interval_order",
        ),
    )

    observation_id: Mapped[int] = mapped_column(
        ForeignKey("observation.id", ondelete="CASCADE"), primary_key=True
    )
    slice: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    tstart_met_s: Mapped[float]
    tstop_met_s: Mapped[float]


class NetworkMeasurement(Base):
    """What the networks say of one detection; NULL where they say nothing."""

    __tablename__ = "network_measurement"
    __table_args__ = (
        CheckConstraint("prob_real BETWEEN 0 AND 1", name="prob_real_range"),
        CheckConstraint(
            "num_nulls(ra_deg, dec_deg, glon_deg, glat_deg, conf_68_semimajor_deg, conf_68_semiminor_deg,"
            " conf_95_semimajor_deg, conf_95_semiminor_deg, conf_posang_deg) IN (0, 9)",
            name="position_complete",
        ),
        CheckConstraint("ra_deg >= 0 AND ra_deg < 360 AND dec_deg BETWEEN -90 AND 90", name="icrs_range"),
        CheckConstraint(
            "glon_deg >= 0 AND glon_deg < 360 AND glat_deg BETWEEN -90 AND 90", name="galactic_range"
        ),
        CheckConstraint(
            "conf_68_semimajor_deg >= conf_68_semiminor_deg AND conf_68_semiminor_deg > 0"
            " AND conf_68_semimajor_deg <= 180",
            name="ellipse_68",
        ),
        CheckConstraint(
            "conf_95_semimajor_deg >= conf_95_semiminor_deg AND conf_95_semiminor_deg > 0"
            " AND conf_95_semimajor_deg <= 180",
            name="ellipse_95",
        ),
        CheckConstraint("conf_posang_deg > -90 AND conf_posang_deg <= 90", name="posang_range"),
        CheckConstraint("num_nulls(flux_cm2_s, unc_flux_cm2_s) IN (0, 2)", name="flux_complete"),
        CheckConstraint(not_negative("flux_cm2_s"), name="flux_not_negative"),
        CheckConstraint(not_negative("unc_flux_cm2_s"), name="unc_flux_not_negative"),
        CheckConstraint(not_negative("sys_flux"), name="sys_flux_not_negative"),
        CheckConstraint("sys_pos_deg BETWEEN 0 AND 180", name="sys_pos_range"),
        CheckConstraint("sys_class BETWEEN 0 AND 1", name="sys_class_range"),
        CheckConstraint("flags >= 0", name="flags_not_negative"),
    )

    detection_id: Mapped[int] = _of_detection()
    prob_real: Mapped[float | None]
    ra_deg: Mapped[float | None]
    dec_deg: Mapped[float | None]
    glon_deg: Mapped[float | None]
    glat_deg: Mapped[float | None]
    conf_68_semimajor_deg: Mapped[float | None]
    conf_68_semiminor_deg: Mapped[float | None]
    conf_95_semimajor_deg: Mapped[float | None]
    conf_95_semiminor_deg: Mapped[float | None]
    conf_posang_deg: Mapped[float | None]
    flux_cm2_s: Mapped[float | None]
    unc_flux_cm2_s: Mapped[float | None]
    sys_flux: Mapped[float | None]
    sys_pos_deg: Mapped[float | None]
    sys_class: Mapped[float | None]
    flags: Mapped[int] = mapped_column(Integer)


class NetworkBandFlux(Base):
    """The networks' photon flux of one detection in one band of the survey."""

    __tablename__ = "network_band_flux"
    __table_args__ = (
        CheckConstraint("band >= 0", name="band_not_negative"),
        CheckConstraint("num_nulls(flux_cm2_s, unc_flux_cm2_s) IN (0, 2)", name="flux_complete"),
        CheckConstraint(not_negative("flux_cm2_s"), name="flux_not_negative"),
        CheckConstraint(not_negative("unc_flux_cm2_s"), name="unc_flux_not_negative"),
    )

    detection_id: Mapped[int] = _of_detection()
    band: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    flux_cm2_s: Mapped[float | None]
    unc_flux_cm2_s: Mapped[float | None]


class ClassProbability(Base):
    """Probabilities of the classes of one detection, by networks with or without its place on the sky."""

    __tablename__ = "class_probability"
    __table_args__ = (
        CheckConstraint(one_of("variant", VARIANTS), name="variant_known"),
        *(CheckConstraint(f"{name} BETWEEN 0 AND 1", name=f"{name}_range") for name in CLASSES),
        CheckConstraint(f"abs({' + '.join(CLASSES)} - 1) < 1e-6", name="sum_one"),
    )

    detection_id: Mapped[int] = _of_detection()
    variant: Mapped[str] = mapped_column(primary_key=True)
    bll: Mapped[float]
    fsrq: Mapped[float]
    psr: Mapped[float]
    pwn_snr: Mapped[float]
    fake: Mapped[float]


class Extension(Base):
    """The disc that fits one detection best; a row only where it was tried."""

    __tablename__ = "extension"
    __table_args__ = (
        CheckConstraint("ext_radius_deg BETWEEN 0 AND 180", name="radius_range"),
        CheckConstraint(not_negative("unc_ext_radius_deg"), name="unc_radius_not_negative"),
        CheckConstraint(not_negative("ts_ext"), name="ts_ext_not_negative"),
    )

    detection_id: Mapped[int] = _of_detection()
    ext_radius_deg: Mapped[float]
    unc_ext_radius_deg: Mapped[float | None]
    ts_ext: Mapped[float]


class WideDisc(Base):
    """The disc that one detection of the search for wide sources is; a row only for these."""

    __tablename__ = "wide_disc"
    __table_args__ = (CheckConstraint("radius_deg > 0 AND radius_deg <= 180", name="radius_range"),)

    detection_id: Mapped[int] = _of_detection()
    radius_deg: Mapped[float]


class CurvedSpectrum(Base):
    """The log-parabola fitted to one detection; a row only where the survey fits one."""

    __tablename__ = "curved_spectrum"
    __table_args__ = (
        CheckConstraint("pivot_gev > 0 AND pivot_gev < 'Infinity'", name="pivot_positive"),
        CheckConstraint(not_negative("density_cm2_s_gev"), name="density_not_negative"),
        CheckConstraint("abs(index) < 'Infinity' AND abs(curvature) < 'Infinity'", name="shape_finite"),
        CheckConstraint(not_negative("unc_index"), name="unc_index_not_negative"),
        CheckConstraint(not_negative("unc_curvature"), name="unc_curvature_not_negative"),
        CheckConstraint(
            "cov_index_curvature ^ 2 <= 1.000001 * (unc_index * unc_curvature) ^ 2",
            name="covariance_possible",
        ),
        CheckConstraint(not_negative("ts_curvature"), name="ts_curvature_not_negative"),
    )

    detection_id: Mapped[int] = _of_detection()
    pivot_gev: Mapped[float]
    density_cm2_s_gev: Mapped[float]
    index: Mapped[float]
    unc_index: Mapped[float]
    curvature: Mapped[float]
    unc_curvature: Mapped[float]
    cov_index_curvature: Mapped[float]
    ts_curvature: Mapped[float]


class SliceFlux(Base):
    """Photon flux of one detection in one time slice; no lower error where it is an upper limit."""

    __tablename__ = "slice_flux"
    __table_args__ = (
        CheckConstraint("slice >= 0", name="slice_not_negative"),
        CheckConstraint(not_negative("flux_cm2_s"), name="flux_not_negative"),
        CheckConstraint("unc_low_cm2_s <= 0 AND unc_low_cm2_s > '-Infinity'", name="unc_low_sign"),
        CheckConstraint(not_negative("unc_high_cm2_s"), name="unc_high_not_negative"),
        CheckConstraint(not_negative("sqrt_ts"), name="sqrt_ts_not_negative"),
        CheckConstraint(not_negative("npred"), name="npred_not_negative"),
    )

    detection_id: Mapped[int] = _of_detection()
    slice: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    flux_cm2_s: Mapped[float]
    unc_low_cm2_s: Mapped[float | None]
    unc_high_cm2_s: Mapped[float]
    sqrt_ts: Mapped[float]
    npred: Mapped[float]


class Variability(Base):
    """How badly a constant flux fits the light curve of one detection: 2 Delta lnL, as in 4FGL-DR2."""

    __tablename__ = "variability"
    __table_args__ = (CheckConstraint(not_negative("variability_index"), name="index_not_negative"),)

    detection_id: Mapped[int] = _of_detection()
    variability_index: Mapped[float]


class ModelCard(Base):
    """One set of trained weights, known by its content, with what its card says of it."""

    __tablename__ = "model_card"
    __table_args__ = (CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),)

    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str]
    card: Mapped[dict[str, Any]]


class RunModel(Base):
    """A set of weights that a run uses."""

    __tablename__ = "run_model"
    __table_args__ = (Index(None, "sha256"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(
        ForeignKey("model_card.sha256", ondelete="RESTRICT"), primary_key=True
    )
