"""What characterisation adds: it goes in once, comes out in the catalogue, and says nothing where nothing is known."""

import numpy as np
import pytest
from astropy.table import Table
from scipy.integrate import quad
from sqlalchemy import Engine, text

from catalog import store, store_characterisation
from catalog.freezing import freeze
from catalog.release import release_table
from models.likelihood import Flags
from tests.catalog.small_run import (
    characterise_run,
    finished_run,
    some_curved_spectra,
    some_light_curves,
    some_networks,
)

CLASSES = ("BLL", "FSRQ", "PSR", "PWN_SNR", "Fake")
N_SLICES = 4


@pytest.fixture
def sliced(engine: Engine) -> tuple[Engine, Table]:
    """A released run of a survey with time slices, and its table."""
    with engine.begin() as conn:
        run = finished_run(conn, survey="lat-6band", n_slices=N_SLICES)
        characterise_run(conn, run, n_bands=6, n_slices=N_SLICES, curved=True)
        freeze(conn, "v1", run)
        return engine, release_table(conn, "v1")


def counts(engine: Engine) -> dict[str, int]:
    tables = (
        "network_measurement",
        "network_band_flux",
        "class_probability",
        "extension",
        "curved_spectrum",
        "slice_flux",
        "variability",
    )
    with engine.connect() as conn:
        return {table: conn.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables}


def test_a_second_try_replaces_the_first(engine: Engine) -> None:
    rng = np.random.default_rng(6)
    with engine.begin() as conn:
        run = finished_run(conn, survey="lat-6band", n_slices=N_SLICES)
        characterise_run(conn, run, n_bands=6, n_slices=N_SLICES, curved=True)
    first = counts(engine)
    assert first == {
        "network_measurement": 60,
        "network_band_flux": 360,
        "class_probability": 118,
        "extension": 30,
        "curved_spectrum": 59,
        "slice_flux": 60 * N_SLICES - 1,
        "variability": 60,
    }
    with engine.begin() as conn:
        rows = store.read_detections(conn, run)
        ids = rows["id"][:10]
        said = some_networks(rng, rows["glon_deg"][:10], rows["glat_deg"][:10], 6)
        store_characterisation.write_networks(conn, ids, said)
        store_characterisation.write_light_curves(conn, ids, some_light_curves(rng, 10, N_SLICES))
        curved = {name: values[:10] for name, values in some_curved_spectra(rng, 11).items()}
        store_characterisation.write_curved_spectra(conn, ids, curved)
    assert counts(engine) == first
    with engine.connect() as conn:
        query = text("SELECT detection_id, prob_real, glon_deg FROM network_measurement")
        stored = {row.detection_id: (row.prob_real, row.glon_deg) for row in conn.execute(query)}
    found = np.array([stored[i] for i in ids.tolist()], float)
    np.testing.assert_array_equal(found[:, 0], said["prob_real"])
    np.testing.assert_allclose(found[:, 1], said["glon_deg"])


def test_class_probabilities_add_up_and_name_the_class(sliced: tuple[Engine, Table]) -> None:
    _, table = sliced
    for suffix in ("", "_Blind"):
        each = np.array([table[f"Prob_{name}{suffix}"] for name in CLASSES])
        known = np.isfinite(each).all(axis=0)
        assert known.sum() == 59
        np.testing.assert_allclose(each[:, known].sum(axis=0), 1, atol=1e-6)
    each = np.array([table[f"Prob_{name}"] for name in CLASSES])
    known = np.isfinite(each).all(axis=0)
    codes = np.array(["bll", "fsrq", "psr", "spp", "unk"])
    assert set(table["CLASS1"][~known]) == {""}
    np.testing.assert_array_equal(table["CLASS1"][known], codes[each[:, known].argmax(axis=0)])


def test_power_laws_are_those_of_the_fit(sliced: tuple[Engine, Table]) -> None:
    """Against numerical integrals: the density integrates to the flux, the pivot is the photons' mean ln E."""
    for row in sliced[1][:5]:
        index, pivot_mev = float(row["PL_Index"]), float(row["Pivot_Energy"])

        def density(energy_mev: float, row=row, index=index, pivot_mev=pivot_mev) -> float:
            return float(row["PL_Flux_Density"]) * (energy_mev / pivot_mev) ** -index

        def photons(ln: float, density=density) -> float:
            return density(np.exp(ln)) * np.exp(ln)

        flux = quad(photons, np.log(1e3), np.log(1e5))[0]
        assert flux == pytest.approx(row["Flux_Likelihood"], rel=1e-5)
        mean = quad(lambda ln, photons=photons: ln * photons(ln), np.log(1e3), np.log(1e5))[0] / flux
        assert np.exp(mean) == pytest.approx(pivot_mev, rel=1e-5)
        relative = row["Unc_PL_Flux_Density"] / row["PL_Flux_Density"]
        assert relative == pytest.approx(row["Unc_Flux_Likelihood"] / row["Flux_Likelihood"], rel=1e-5)


def test_log_parabolas_are_those_of_the_fit_seen_from_the_pivot(sliced: tuple[Engine, Table]) -> None:
    """The same curve: density at the fit's own pivot, index as the slope, its error by the chain rule."""
    engine, table = sliced
    with engine.connect() as conn:
        query = text(
            "SELECT s.source_name, c.* FROM release_source s JOIN curved_spectrum c USING (detection_id)"
        )
        fitted = {row["source_name"]: row for row in conn.execute(query).mappings()}
    assert len(fitted) == 59
    for row in table:
        fit = fitted.get(row["Source_Name"])
        if fit is None:
            assert row["SpectrumType"] == "PowerLaw"
            assert np.isnan(
                [row["LP_Flux_Density"], row["LP_Index"], row["LP_beta"], row["LP_SigCurv"]]
            ).all()
            continue
        x = np.log(1000 * fit["pivot_gev"] / float(row["Pivot_Energy"]))
        density = row["LP_Flux_Density"] * np.exp(-(row["LP_Index"] + row["LP_beta"] * x) * x)
        assert 1000 * density == pytest.approx(fit["density_cm2_s_gev"], rel=1e-4)
        assert row["LP_Index"] + 2 * row["LP_beta"] * x == pytest.approx(fit["index"], abs=1e-5)
        covariance = [
            [fit["unc_index"] ** 2, fit["cov_index_curvature"]],
            [fit["cov_index_curvature"], fit["unc_curvature"] ** 2],
        ]
        along = np.array([1.0, -2 * x])
        assert row["Unc_LP_Index"] == pytest.approx(np.sqrt(along @ covariance @ along), rel=1e-4)
        assert row["LP_SigCurv"] == pytest.approx(np.sqrt(fit["ts_curvature"]), rel=1e-5)
        assert row["SpectrumType"] == ("LogParabola" if row["LP_SigCurv"] > 3 else "PowerLaw")
    assert {"LogParabola", "PowerLaw"} == set(table["SpectrumType"])


def test_light_curves_keep_their_slices(sliced: tuple[Engine, Table]) -> None:
    engine, table = sliced
    assert table["Flux_History"].shape == (60, N_SLICES)
    assert table["Unc_Flux_History"].shape == (60, N_SLICES, 2)
    # The slice that was not measured is in its place, not left out.
    holes = np.argwhere(np.isnan(table["Flux_History"]))
    assert [slice_ for _, slice_ in holes] == [1]
    flux = np.where(np.isnan(table["Unc_Flux_History"][..., 0]), -1, table["Flux_History"])
    best = np.nanargmax(flux, axis=1)
    some = np.take_along_axis(flux, best[:, None], 1)[:, 0] > 0
    np.testing.assert_array_equal(table["Flux_Peak"][some], np.nanmax(flux, axis=1)[some])
    with engine.connect() as conn:
        edges = np.array(conn.execute(text("SELECT tstart_met_s, tstop_met_s FROM time_slice")).all())
    np.testing.assert_allclose(table["Time_Peak"][some], edges.mean(axis=1)[best[some]])
    assert np.isnan(table["Flux_Peak"][~some]).all()


def test_flags_are_those_of_all_methods(sliced: tuple[Engine, Table]) -> None:
    engine, table = sliced
    with engine.connect() as conn:
        query = text(
            "SELECT s.source_name, m.flags, n.flags FROM release_source s JOIN measurement m USING (detection_id)"
            " JOIN network_measurement n USING (detection_id)"
        )
        expected = {name: fit | networks for name, fit, networks in conn.execute(query)}
    assert dict(zip(table["Source_Name"], table["Flags"], strict=True)) == expected
    assert any(value & 1 << 20 for value in expected.values())


@pytest.mark.parametrize(("below", "networks"), [(None, 0), (0.0, 0), (20.0, "some"), (1e9, 59)])
def test_one_switch_chooses_the_flux(engine: Engine, below: float | None, networks: int | str) -> None:
    with engine.begin() as conn:
        run = finished_run(conn)
        characterise_run(conn, run)
        if below is not None:
            query = "UPDATE run SET settings = settings || jsonb_build_object('network_flux_below_sigma', :b)"
            conn.execute(text(query.replace(":b", "CAST(:b AS float8)")), {"b": below})
        freeze(conn, "v1", run)
        table = release_table(conn, "v1")
    by_network = table["Flux_Method"] == "network"
    if networks == "some":
        known = np.isfinite(table["Flux_Network"])
        np.testing.assert_array_equal(by_network, (table["Signif_Avg"] < 20) & known)
        assert 0 < by_network.sum() < 59
    else:
        assert by_network.sum() == networks
    for prefix in ("", "Unc_"):
        chosen = np.where(by_network, table[f"{prefix}Flux_Network"], table[f"{prefix}Flux_Likelihood"])
        np.testing.assert_array_equal(table[f"{prefix}Flux10000"], chosen)


def test_what_is_measured_as_a_disc_has_the_likelihoods_flux(engine: Engine) -> None:
    with engine.begin() as conn:
        run = finished_run(conn)
        characterise_run(conn, run)
        conn.execute(text("UPDATE run SET settings = settings || '{\"network_flux_below_sigma\": 1e9}'"))
        conn.execute(
            text(f"UPDATE measurement SET flags = flags | {int(Flags.DISC)} WHERE detection_id % 3 = 0")
        )
        freeze(conn, "v1", run)
        table = release_table(conn, "v1")
        view = dict(conn.execute(text("SELECT source_name, flux_method FROM catalogue")).all())
    disc = (table["Flags"] & Flags.DISC) > 0
    by_network = table["Flux_Method"] == "network"
    assert disc.any() and not by_network[disc].any() and by_network[~disc].sum() > 30
    np.testing.assert_array_equal(table["Flux10000"][disc], table["Flux_Likelihood"][disc])
    assert {str(row["Source_Name"]): str(row["Flux_Method"]) for row in table} == view


def test_without_characterisation_nothing_is_said(engine: Engine) -> None:
    with engine.begin() as conn:
        freeze(conn, "v1", finished_run(conn))
        table = release_table(conn, "v1")
    assert "Flux_History" not in table.colnames
    assert (table["CLASS1"] == "").all() and (table["Extended_Source_Name"] == "").all()
    for name in ("Prob_Real", "Prob_Fake", "Flux_Band_Network", "TS_Ext", "RA_Network"):
        assert np.isnan(table[name]).all()
    assert np.isfinite(table["Flux10000"]).all() and (table["Flux_Method"] == "likelihood").all()


def test_models_are_written_once(engine: Engine) -> None:
    card = ("e" * 64, "localise-lat-10gev", {"survey": "lat-10gev"})
    with engine.begin() as conn:
        for seed in (1, 2):
            store_characterisation.register_models(conn, finished_run(conn, seed=seed), [card])
        assert conn.scalar(text("SELECT count(*) FROM model_card")) == 1
        assert conn.scalar(text("SELECT count(*) FROM run_model")) == 2


@pytest.mark.parametrize("index", [1.0, 1.0 + 1e-9, 1.0 + 1e-5])
def test_power_laws_of_equal_photons_a_decade(engine: Engine, index: float) -> None:
    """Index 1 is a limit of its own: as many photons in every interval of ln E."""
    query = text(
        "SELECT power_law_reference_gev(:i, 10, 1000), power_law_density(1, :i, 10, 1000, 50),"
        " band_nufnu(1, :i, 10, 1000)"
    )
    with engine.connect() as conn:
        reference, density, nufnu = conn.execute(query, {"i": index}).one()
    assert reference == pytest.approx(100, rel=1e-4)
    assert density == pytest.approx(1 / (50 * np.log(100)), rel=1e-4)
    assert nufnu == pytest.approx(100 / np.log(100) * 1.602176634e-3, rel=1e-4)
