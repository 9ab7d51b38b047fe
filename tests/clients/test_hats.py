"""The HATS folder and the map of the covered sky, opened by the programs they are for."""

import pytest

from tests.clients.conftest import Released

hats = pytest.importorskip("hats", reason="needs the extra 'clients'")


def test_hats_opens_the_folder_and_finds_every_source(released: Released) -> None:
    folder = released.folder / f"asid-{released.version}-hats"
    catalogue = hats.read_hats(folder)
    assert catalogue.catalog_info.total_rows == len(released.table)
    assert {"_healpix_29", *released.table.colnames} >= set(catalogue.schema.names)
    files = [hats.io.paths.pixel_catalog_file(folder, pixel) for pixel in catalogue.get_healpix_pixels()]
    names = [
        name for file in files for name in hats.io.file_io.read_parquet_file_to_pandas(file)["Source_Name"]
    ]
    assert sorted(names) == sorted(name.strip() for name in released.table["Source_Name"])
