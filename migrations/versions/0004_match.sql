-- The newest public release against any table with positions, in plain SQL.
--
-- A table with hpx29 under an index, x, y and z is searched as the others (0001_sky.sql). Any other is read once, and
-- its rows put into cells: zones of latitude, each cut into cells of about the same size (Gray et al. 2004,
-- MSR-TR-2004-32). Each source asks for all cells its cone touches; cells meet by equality, so by a hash join.

CREATE FUNCTION zone_of(lat_deg double precision, height_deg double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor((lat_deg + 90) / height_deg)::integer;

CREATE FUNCTION cells_of_zone(zone integer, height_deg double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(1, floor(360 * cos(radians((zone + 0.5) * height_deg - 90)) / height_deg)::integer);

-- Each of these uses no costly argument twice, else PostgreSQL would not inline it. So a longitude that rounding puts a
-- whole turn from zero falls into one cell more than the zone has.
CREATE FUNCTION cell_in_zone(lon_deg double precision, cells integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor((lon_deg / 360 - floor(lon_deg / 360)) * cells)::integer;

CREATE FUNCTION zone_cells_of_cone(lon_deg double precision, lat_deg double precision, radius_deg double precision,
                                   height_deg double precision)
RETURNS TABLE (zone integer, cell integer)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 10 AS $$
-- Zones and cells that a cone touches, each once; a little more, for rounding.
DECLARE
    reach_deg constant double precision := radius_deg * (1 + 1e-9) + 1e-9;
    half_deg double precision := 180;
    first integer;
    cells integer;
BEGIN
    IF abs(lat_deg) + reach_deg < 90 THEN
        half_deg := degrees(asin(sin(radians(reach_deg)) / cos(radians(lat_deg))));
    END IF;
    FOR at IN zone_of(greatest(lat_deg - reach_deg, -90), height_deg)
        .. zone_of(least(lat_deg + reach_deg, 90), height_deg) LOOP
        cells := cells_of_zone(at, height_deg);
        first := floor((lon_deg - half_deg) / 360 * cells)::integer;
        FOR k IN first .. least(floor((lon_deg + half_deg) / 360 * cells)::integer, first + cells - 1) LOOP
            zone := at;
            cell := (k % cells + cells) % cells;
            RETURN NEXT;
            IF cell = cells - 1 THEN
                cell := cells;
                RETURN NEXT;
            END IF;
        END LOOP;
    END LOOP;
END
$$;

CREATE FUNCTION position_columns(sources regclass, OUT lon text, OUT lat text, OUT galactic boolean)
LANGUAGE plpgsql STABLE STRICT AS $$
-- Which columns of a table are its positions in degrees: the first of these pairs that it has.
DECLARE
    names constant text[] := ARRAY(
        SELECT attname::text FROM pg_attribute WHERE attrelid = sources AND attnum > 0 AND NOT attisdropped
            AND atttypid IN ('float8'::regtype, 'float4'::regtype, 'numeric'::regtype, 'integer'::regtype));
BEGIN
    SELECT p.lon, p.lat, p.galactic INTO lon, lat, galactic
    FROM (VALUES ('ra_deg', 'dec_deg', false), ('ra', 'dec', false), ('raj2000', 'dej2000', false),
                 ('ra_icrs', 'de_icrs', false), ('glon_deg', 'glat_deg', true), ('glon', 'glat', true),
                 ('l', 'b', true)) p (lon, lat, galactic)
    WHERE p.lon = ANY (names) AND p.lat = ANY (names)
    LIMIT 1;
    IF lon IS NULL THEN
        RAISE undefined_column USING MESSAGE = format(
            '%s has no positions in degrees: columns ra and dec, ra_deg and dec_deg, glon and glat, or l and b', sources);
    END IF;
END
$$;

-- Rows of one reference catalogue alone, where that is named.
CREATE FUNCTION match_by_index(sources regclass, radius_deg double precision, only_catalog integer DEFAULT NULL)
RETURNS TABLE (source_name text, detection_id bigint, sep_deg double precision, matched jsonb)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off SET enable_memoize = off
SET jit = off AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT s.source_name, s.detection_id, separation_deg(d.chord_squared), to_jsonb(t)
         FROM release_source s
         JOIN measurement m ON m.detection_id = s.detection_id
         CROSS JOIN LATERAL cone_ranges(m.x, m.y, m.z, $1) r
         JOIN %s t ON t.hpx29 >= r.lo AND t.hpx29 < r.hi
         CROSS JOIN LATERAL (
             SELECT (t.x - m.x) * (t.x - m.x) + (t.y - m.y) * (t.y - m.y) + (t.z - m.z) * (t.z - m.z)
                    AS chord_squared) d
         WHERE s.version = (SELECT newest_release())
             AND ($1 = 180 OR d.chord_squared <= 4 * sind($1 / 2) * sind($1 / 2)) %s',
        sources, 'AND t.catalog_id + 0 = ' || only_catalog)  -- + 0: not by the index on catalog_id
    USING radius_deg;
END
$$;

CREATE FUNCTION match_by_cells(sources regclass, radius_deg double precision)
RETURNS TABLE (source_name text, detection_id bigint, sep_deg double precision, matched jsonb)
LANGUAGE plpgsql STABLE STRICT ROWS 1000
SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    place constant record := position_columns(sources);
BEGIN
    RETURN QUERY EXECUTE format(
        'WITH cone AS MATERIALIZED (
             SELECT s.source_name, s.detection_id, c.zone, c.cell, %3$s AS lon, %4$s AS lat
             FROM release_source s
             JOIN measurement m ON m.detection_id = s.detection_id
             CROSS JOIN LATERAL zone_cells_of_cone(%3$s, %4$s, $1, $2) c
             WHERE s.version = (SELECT newest_release()))
         SELECT c.source_name, c.detection_id, separation_deg(d.chord_squared), to_jsonb(t.whole)
         FROM (SELECT t AS whole, t.%1$I::float8 AS lon, t.%2$I::float8 AS lat FROM %5$s t) t
         JOIN cone c ON c.zone = zone_of(t.lat, $2)
             AND c.cell = cell_in_zone(t.lon, cells_of_zone(zone_of(t.lat, $2), $2))
         CROSS JOIN LATERAL (
             SELECT 4 * (sin(radians((t.lat - c.lat) / 2)) ^ 2
                 + cos(radians(t.lat)) * cos(radians(c.lat)) * sin(radians((t.lon - c.lon) / 2)) ^ 2)
                 AS chord_squared) d
         WHERE t.lat BETWEEN -90 AND 90 AND t.lon > ''-Infinity'' AND t.lon < ''Infinity''
             AND ($1 = 180 OR d.chord_squared <= 4 * sind($1 / 2) * sind($1 / 2))',
        place.lon, place.lat, CASE WHEN place.galactic THEN 'm.glon_deg' ELSE 'm.ra_deg' END,
        CASE WHEN place.galactic THEN 'm.glat_deg' ELSE 'm.dec_deg' END, sources)
    USING radius_deg, greatest(radius_deg, 0.1);
END
$$;

CREATE FUNCTION match(sources text, radius_deg double precision)
RETURNS TABLE (source_name text, detection_id bigint, sep_deg double precision, matched jsonb)
LANGUAGE plpgsql STABLE STRICT ROWS 1000 AS $$
-- Sources of the newest public release and rows of a table within a radius (closed) of them. The table is a reference
-- catalogue by its name (its newest version), or any table or view with positions; its row comes as JSON.
DECLARE
    catalogue integer;
    relation regclass;
BEGIN
    IF NOT radius_deg BETWEEN 0 AND 180 THEN
        RAISE invalid_parameter_value
            USING MESSAGE = format('the radius of a match is 0 to 180 degrees, not %s', radius_deg);
    END IF;
    SELECT id INTO catalogue FROM reference_catalog WHERE name = sources ORDER BY id DESC LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT * FROM match_by_index('reference_source', radius_deg, catalogue);
        RETURN;
    END IF;
    relation := sources::regclass;
    IF EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
               WHERE i.indrelid = relation AND a.attname = 'hpx29' AND i.indpred IS NULL) THEN
        RETURN QUERY SELECT * FROM match_by_index(relation, radius_deg);
    ELSE
        RETURN QUERY SELECT * FROM match_by_cells(relation, radius_deg);
    END IF;
END
$$;
