"""What the networks and the extension and light-curve fits say of a detection.

Revision ID: 0002
Revises: 0001
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCRIPTS = ("0002_characterisation.sql", "0002_spectra.sql", "0002_catalogue.sql")
# The surveys there were when observations did not yet carry their energies: headline range and band edges, GeV.
SURVEYS = {
    "lat-6band": ((1.0, 100.0), (0.3, 0.5, 1.0, 2.0, 7.0, 20.0, 1000.0)),
    "lat-10gev": ((10.0, 1000.0), (10.0, 30.0, 100.0, 2000.0)),
}


def real(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Double(), nullable=nullable)


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def not_negative(table: str, column: str, name: str) -> sa.CheckConstraint:
    return check(table, f"{name}_not_negative", f"{column} >= 0 AND {column} < 'Infinity'")


def reference(table: str, column: str, to: str, key: str = "id", on: str = "CASCADE") -> sa.Constraint:
    name = op.f(f"fk_{table}_{column}_{to}")
    return sa.ForeignKeyConstraint([column], [f"{to}.{key}"], name=name, ondelete=on)


def create(table: str, columns: list[sa.Column[Any]], key: list[str], *rules: sa.Constraint) -> None:
    primary = sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}"))
    op.create_table(table, *columns, primary, *rules)


def of_detection(table: str, columns: list[sa.Column[Any]], *rules: sa.Constraint, key: str = "") -> None:
    identity = sa.Column("detection_id", sa.BigInteger(), nullable=False)
    keys = ["detection_id", key] if key else ["detection_id"]
    create(table, [identity, *columns], keys, reference(table, "detection_id", "detection"), *rules)


def of_observation(table: str, columns: list[sa.Column[Any]], key: str, *rules: sa.Constraint) -> None:
    identity = sa.Column("observation_id", sa.Integer(), nullable=False)
    number = sa.Column(key, sa.SmallInteger(), nullable=False)
    first = check(table, f"{key}_not_negative", f"{key} >= 0")
    owner = reference(table, "observation_id", "observation")
    create(table, [identity, number, *columns], ["observation_id", key], owner, first, *rules)


def upgrade() -> None:
    observation_energies()
    slices = check(
        "time_slice",
        "interval_order",
        "tstop_met_s > tstart_met_s AND tstop_met_s < 'Infinity' AND tstart_met_s > '-Infinity'",
    )
    of_observation("time_slice", [real("tstart_met_s"), real("tstop_met_s")], "slice", slices)
    network_tables()
    likelihood_tables()
    model_tables()
    for name in SCRIPTS:
        op.execute(sa.text(Path(__file__).with_name(name).read_text().replace(":", r"\:")))


def observation_energies() -> None:
    """The energies that fluxes refer to, for the observations there are and those to come."""
    edges = check(
        "energy_band", "edges_order", "emin_gev > 0 AND emax_gev > emin_gev AND emax_gev < 'Infinity'"
    )
    of_observation("energy_band", [real("emin_gev"), real("emax_gev")], "band", edges)
    op.add_column("observation", sa.Column("flux_range_gev", sa.ARRAY(sa.Double())))
    for survey, (flux_range, bands) in SURVEYS.items():
        given = {
            "survey": survey,
            "range": list(flux_range),
            "low": list(bands[:-1]),
            "high": list(bands[1:]),
        }
        fill = sa.text("UPDATE observation SET flux_range_gev = :range WHERE survey = :survey")
        op.execute(fill.bindparams(survey=survey, range=given["range"]))
        rows = sa.text(
            "INSERT INTO energy_band SELECT o.id, b.number - 1, b.emin_gev, b.emax_gev FROM observation o,"
            " unnest(CAST(:low AS float8[]), CAST(:high AS float8[]))"
            " WITH ORDINALITY b (emin_gev, emax_gev, number) WHERE o.survey = :survey"
        )
        op.execute(rows.bindparams(survey=survey, low=given["low"], high=given["high"]))
    op.alter_column("observation", "flux_range_gev", nullable=False)
    op.create_check_constraint(
        op.f("ck_observation_flux_range_order"),
        "observation",
        "cardinality(flux_range_gev) = 2 AND flux_range_gev[1] > 0"
        " AND flux_range_gev[2] > flux_range_gev[1] AND flux_range_gev[2] < 'Infinity'",
    )


def network_tables() -> None:
    table = "network_measurement"
    position = ["ra_deg", "dec_deg", "glon_deg", "glat_deg"]
    axes = [f"conf_{level}_semi{axis}_deg" for level in (68, 95) for axis in ("major", "minor")]
    fluxes = ["flux_cm2_s", "unc_flux_cm2_s"]
    names = [
        "prob_real",
        *position,
        *axes,
        "conf_posang_deg",
        *fluxes,
        "sys_flux",
        "sys_pos_deg",
        "sys_class",
    ]
    whole = ", ".join([*position, *axes, "conf_posang_deg"])
    pair = "num_nulls(flux_cm2_s, unc_flux_cm2_s) IN (0, 2)"
    of_detection(
        table,
        [*(real(name, nullable=True) for name in names), sa.Column("flags", sa.Integer(), nullable=False)],
        check(table, "prob_real_range", "prob_real BETWEEN 0 AND 1"),
        check(table, "position_complete", f"num_nulls({whole}) IN (0, 9)"),
        check(table, "icrs_range", "ra_deg >= 0 AND ra_deg < 360 AND dec_deg BETWEEN -90 AND 90"),
        check(table, "galactic_range", "glon_deg >= 0 AND glon_deg < 360 AND glat_deg BETWEEN -90 AND 90"),
        *(
            check(
                table,
                f"ellipse_{level}",
                f"conf_{level}_semimajor_deg >= conf_{level}_semiminor_deg"
                f" AND conf_{level}_semiminor_deg > 0 AND conf_{level}_semimajor_deg <= 180",
            )
            for level in (68, 95)
        ),
        check(table, "posang_range", "conf_posang_deg > -90 AND conf_posang_deg <= 90"),
        check(table, "flux_complete", pair),
        not_negative(table, "flux_cm2_s", "flux"),
        not_negative(table, "unc_flux_cm2_s", "unc_flux"),
        not_negative(table, "sys_flux", "sys_flux"),
        check(table, "sys_pos_range", "sys_pos_deg BETWEEN 0 AND 180"),
        check(table, "sys_class_range", "sys_class BETWEEN 0 AND 1"),
        check(table, "flags_not_negative", "flags >= 0"),
    )
    table = "network_band_flux"
    of_detection(
        table,
        [
            sa.Column("band", sa.SmallInteger(), nullable=False),
            *(real(name, nullable=True) for name in fluxes),
        ],
        check(table, "band_not_negative", "band >= 0"),
        check(table, "flux_complete", pair),
        not_negative(table, "flux_cm2_s", "flux"),
        not_negative(table, "unc_flux_cm2_s", "unc_flux"),
        key="band",
    )
    table, classes = "class_probability", ["bll", "fsrq", "psr", "pwn_snr", "fake"]
    of_detection(
        table,
        [sa.Column("variant", sa.Text(), nullable=False), *(real(name) for name in classes)],
        check(table, "variant_known", "variant IN ('full', 'blind')"),
        *(check(table, f"{name}_range", f"{name} BETWEEN 0 AND 1") for name in classes),
        check(table, "sum_one", f"abs({' + '.join(classes)} - 1) < 1e-6"),
        key="variant",
    )


def likelihood_tables() -> None:
    table = "extension"
    of_detection(
        table,
        [real("ext_radius_deg"), real("unc_ext_radius_deg", nullable=True), real("ts_ext")],
        check(table, "radius_range", "ext_radius_deg BETWEEN 0 AND 180"),
        not_negative(table, "unc_ext_radius_deg", "unc_radius"),
        not_negative(table, "ts_ext", "ts_ext"),
    )
    table = "slice_flux"
    of_detection(
        table,
        [
            sa.Column("slice", sa.SmallInteger(), nullable=False),
            real("flux_cm2_s"),
            real("unc_low_cm2_s", nullable=True),
            real("unc_high_cm2_s"),
            real("sqrt_ts"),
            real("npred"),
        ],
        check(table, "slice_not_negative", "slice >= 0"),
        not_negative(table, "flux_cm2_s", "flux"),
        check(table, "unc_low_sign", "unc_low_cm2_s <= 0 AND unc_low_cm2_s > '-Infinity'"),
        not_negative(table, "unc_high_cm2_s", "unc_high"),
        not_negative(table, "sqrt_ts", "sqrt_ts"),
        not_negative(table, "npred", "npred"),
        key="slice",
    )
    table = "variability"
    index = not_negative(table, "variability_index", "index")
    of_detection(table, [real("variability_index")], index)


def model_tables() -> None:
    columns: list[sa.Column[Any]] = [
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("card", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    ]
    create("model_card", columns, ["sha256"], check("model_card", "sha256_hex", "sha256 ~ '^[0-9a-f]{64}$'"))
    create(
        "run_model",
        [sa.Column("run_id", sa.Integer(), nullable=False), sa.Column("sha256", sa.Text(), nullable=False)],
        ["run_id", "sha256"],
        reference("run_model", "run_id", "run"),
        reference("run_model", "sha256", "model_card", key="sha256", on="RESTRICT"),
    )
    op.create_index(op.f("ix_run_model_sha256"), "run_model", ["sha256"], unique=False)


def downgrade() -> None:
    raise NotImplementedError(
        "what the networks said has no place in the first schema; restore a copy instead"
    )
