-- The sky in plain SQL: no extension, PostgreSQL 14 and later.
--
-- Cells are HEALPix, NESTED, ICRS (Gorski et al. 2005, ApJ 622, 759). A table with a position holds `hpx29`, its cell
-- of order 29, under a B-tree, and its ICRS unit vector x, y, z. A search covers its cone by coarse cells, each a range
-- of hpx29, and then compares chords, which stay exact at small separations where an arc cosine does not.

CREATE FUNCTION galactic_to_icrs(glon_deg double precision, glat_deg double precision,
                                 OUT x double precision, OUT y double precision, OUT z double precision)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    u constant double precision := cosd(glat_deg) * cosd(glon_deg);
    v constant double precision := cosd(glat_deg) * sind(glon_deg);
    w constant double precision := sind(glat_deg);
BEGIN
    -- The rotation of astropy.coordinates (galactic -> FK5 J2000 -> ICRS).
    x := -0.05487565771259218 * u + 0.49410943719272665 * v - 0.8676661375596585 * w;
    y := -0.8734370519556162 * u - 0.4448297212232957 * v - 0.19807633727300056 * w;
    z := -0.4838350736167156 * u + 0.7469821839866677 * v + 0.45598381369730206 * w;
END
$$;

CREATE FUNCTION spread_bits(v bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
-- A zero bit between every two of the lowest 30 bits: half of an interleaving.
BEGIN
    v := (v | (v << 16)) & 281470681808895;
    v := (v | (v << 8)) & 71777214294589695;
    v := (v | (v << 4)) & 1085102592571150095;
    v := (v | (v << 2)) & 3689348814741910323;
    RETURN (v | (v << 1)) & 6148914691236517205;
END
$$;

CREATE FUNCTION healpix_nested(depth integer, x double precision, y double precision, z double precision)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
-- The NESTED cell of order `depth` (0 to 29) that holds a unit vector.
DECLARE
    side constant bigint := 1::bigint << depth;
    turns double precision := atan2(y, x) / (pi() / 2);  -- longitude in quarter turns
    face bigint;
    radius double precision;
    i bigint;  -- along the cell's edge to the north east
    j bigint;  -- along its edge to the north west
BEGIN
    turns := turns - 4 * floor(turns / 4);
    IF abs(z) <= 2.0::double precision / 3.0::double precision THEN
        i := floor(side * (0.5 + turns + 0.75 * z))::bigint;
        j := floor(side * (0.5 + turns - 0.75 * z))::bigint;
        face := CASE
            WHEN i >> depth = j >> depth THEN (j >> depth) & 3 | 4
            WHEN i >> depth > j >> depth THEN j >> depth
            ELSE (i >> depth) + 8
        END;
        i := i & (side - 1);
        j := side - 1 - (j & (side - 1));
    ELSE
        face := least(floor(turns), 3)::bigint;
        turns := turns - face;
        -- The distance from the pole from x and y: 1 - |z| has lost its digits there.
        radius := side * sqrt(3 * (x * x + y * y) / (1 + abs(z)));
        i := least(floor(turns * radius)::bigint, side - 1);
        j := least(floor((1 - turns) * radius)::bigint, side - 1);
        IF z < 0 THEN
            face := face + 8;
        ELSE
            SELECT side - 1 - j, side - 1 - i INTO i, j;
        END IF;
    END IF;
    RETURN (face << (2 * depth)) + spread_bits(i) + 2 * spread_bits(j);
END
$$;

-- Not STRICT, nor is separation_deg: PostgreSQL would not inline them.
CREATE FUNCTION healpix_ring_at(side bigint, pole_deg double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Rings of cell centres are numbered 1 to 4 side - 1 from the north pole; this is that number as a continuous function.
RETURN CASE
    WHEN 3 * cosd(pole_deg) > 2 THEN side * sqrt(6) * sind(pole_deg / 2)
    WHEN 3 * cosd(pole_deg) < -2 THEN side * (4 - sqrt(6) * cosd(pole_deg / 2))
    ELSE side * (2 - 1.5 * cosd(pole_deg))
END;

CREATE FUNCTION cone_ranges(x double precision, y double precision, z double precision, radius_deg double precision)
RETURNS TABLE (lo bigint, hi bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 10 AS $$
-- Ranges lo <= hpx29 < hi that cover a cone: all cells of one order whose centres are no further from it than a cell's
-- largest radius. The order makes a cell's side one to two radii: some ten cells, whatever the radius.
DECLARE
    depth constant integer :=
        greatest(0, least(24, floor(log(2, (58.64 / greatest(radius_deg, 1e-6))::numeric))));
    side constant bigint := 1::bigint << depth;
    step constant bigint := 1::bigint << (58 - 2 * depth);
    reach_deg constant double precision := least(180, radius_deg + degrees(1.0690 / side));
    pole_deg constant double precision := atan2d(sqrt(x * x + y * y), z);
    turn constant double precision := atan2d(y, x) / 360;
    sin_pole constant double precision := sind(pole_deg);
    first_ring constant bigint := floor(healpix_ring_at(side, greatest(0, pole_deg - reach_deg)));
    last_ring constant bigint := ceil(healpix_ring_at(side, least(180, pole_deg + reach_deg)));
    cells bigint;          -- of a ring
    shift double precision;  -- of the first cell's centre from longitude zero, in cells
    half double precision;   -- of the ring's cells within reach
    first_cell bigint;
    ring_deg double precision;
    sin_ring double precision;
    cos_ring double precision;
    haversine double precision;
BEGIN
    IF NOT radius_deg BETWEEN 0 AND 180 THEN
        RAISE invalid_parameter_value
            USING MESSAGE = format('the radius of a cone is 0 to 180 degrees, not %s', radius_deg);
    END IF;
    FOR ring IN greatest(first_ring, 1) .. least(last_ring, 4 * side - 1) LOOP
        cells := 4 * least(ring, side, 4 * side - ring);
        shift := CASE WHEN cells = 4 * side AND (ring - side) % 2 = 1 THEN 0 ELSE 0.5 END;
        ring_deg := CASE
            WHEN ring < side THEN 2 * asind(ring / (side * sqrt(6)))
            WHEN ring > 3 * side THEN 180 - 2 * asind((4 * side - ring) / (side * sqrt(6)))
            ELSE acosd((4 - 2.0::double precision * ring / side) / 3)
        END;
        sin_ring := sind(ring_deg);
        cos_ring := cosd(ring_deg);
        haversine := sind((reach_deg + ring_deg - pole_deg) / 2) * sind((reach_deg - ring_deg + pole_deg) / 2);
        CONTINUE WHEN haversine < 0;
        half := cells / 2.0::double precision;
        IF haversine < sin_ring * sin_pole THEN
            half := half * asind(sqrt(haversine / (sin_ring * sin_pole))) / 90;
        END IF;
        first_cell := ceil(turn * cells - shift - half);
        FOR cell IN first_cell .. least(floor(turn * cells - shift + half)::bigint, first_cell + cells - 1) LOOP
            lo := step * healpix_nested(depth, sin_ring * cosd(360 * (cell + shift) / cells),
                                        sin_ring * sind(360 * (cell + shift) / cells), cos_ring);
            hi := lo + step;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;

CREATE FUNCTION separation_deg(chord_squared double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 2 * asind(least(1, sqrt(chord_squared) / 2));

-- The planner takes a range of unknown ends for a ninth of the table and would read all of it for each: the searches
-- below leave it the plain index scan only, and have no use for plans compiled to machine code.

CREATE FUNCTION cone_search(sources regclass, glon_deg double precision, glat_deg double precision,
                            radius_deg double precision, key name DEFAULT 'id')
RETURNS TABLE (id bigint, sep_deg double precision)
LANGUAGE plpgsql STABLE STRICT ROWS 100
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off SET enable_memoize = off
SET jit = off AS $$
-- Rows of any table with hpx29, x, y and z within a radius (closed) of a galactic position, the nearest first.
DECLARE
    centre record := galactic_to_icrs(glon_deg, glat_deg);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.%I::bigint, separation_deg(d.chord_squared)
         FROM cone_ranges($1, $2, $3, $4) r
         JOIN %s t ON t.hpx29 >= r.lo AND t.hpx29 < r.hi
         CROSS JOIN LATERAL (
             SELECT (t.x - $1) * (t.x - $1) + (t.y - $2) * (t.y - $2) + (t.z - $3) * (t.z - $3) AS chord_squared) d
         WHERE $4 = 180 OR d.chord_squared <= 4 * sind($4 / 2) * sind($4 / 2)
         ORDER BY 2, 1', key, sources)
    USING centre.x, centre.y, centre.z, radius_deg;
END
$$;

CREATE FUNCTION crossmatch(few regclass, many regclass, radius_deg double precision,
                           few_key name DEFAULT 'id', many_key name DEFAULT 'id')
RETURNS TABLE (few_id bigint, many_id bigint, sep_deg double precision)
LANGUAGE plpgsql STABLE STRICT ROWS 10000
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off SET enable_memoize = off
SET jit = off AS $$
-- All pairs of rows of two tables within a radius (closed). Each row of the first is a cone: let it be the smaller.
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT f.%I::bigint, m.%I::bigint, separation_deg(d.chord_squared)
         FROM %s f
         CROSS JOIN LATERAL cone_ranges(f.x, f.y, f.z, $1) r
         JOIN %s m ON m.hpx29 >= r.lo AND m.hpx29 < r.hi
         CROSS JOIN LATERAL (
             SELECT (m.x - f.x) * (m.x - f.x) + (m.y - f.y) * (m.y - f.y) + (m.z - f.z) * (m.z - f.z)
                    AS chord_squared) d
         WHERE $1 = 180 OR d.chord_squared <= 4 * sind($1 / 2) * sind($1 / 2)', few_key, many_key, few, many)
    USING radius_deg;
END
$$;
