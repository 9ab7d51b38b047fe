-- What is released stays as it was: these triggers refuse every change of a release, of its sources, and of all rows of
-- the run it was made from. A reference catalogue is a version that was published, so its rows never change either.

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = format('%s rows are never changed: %s refused', TG_TABLE_NAME, TG_OP);
END
$$;

CREATE FUNCTION refuse_change_of_released_run() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    runs integer[];
    held_by text;
BEGIN
    IF TG_TABLE_NAME = 'run' THEN
        runs := ARRAY[OLD.id];
    ELSIF TG_TABLE_NAME = 'detection' THEN
        runs := ARRAY[OLD.run_id, NEW.run_id];
    ELSE
        runs := ARRAY(SELECT run_id FROM detection WHERE id IN (OLD.detection_id, NEW.detection_id));
    END IF;
    -- Wait for a release of the run that is being made at this moment; the query after it sees the result.
    PERFORM FROM run WHERE id = ANY (runs) FOR KEY SHARE;
    SELECT version INTO held_by FROM release WHERE run_id = ANY (runs) LIMIT 1;
    IF FOUND THEN
        RAISE restrict_violation
            USING MESSAGE = format('release %s holds this row of %s: %s refused', held_by, TG_TABLE_NAME, TG_OP);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION refuse_truncate_of_released() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM release) THEN
        RAISE restrict_violation USING MESSAGE = format('releases hold rows of %s: TRUNCATE refused', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END
$$;

-- A release says how many sources it has; so none is added later, and none is missing when it is committed.
CREATE FUNCTION refuse_wrong_sources() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    SELECT version INTO wrong FROM release
    WHERE version IN (SELECT version FROM added)
      AND n_sources < (SELECT count(*) FROM release_source s WHERE s.version = release.version);
    IF FOUND THEN
        RAISE restrict_violation USING MESSAGE = format('release %s is complete: INSERT refused', wrong);
    END IF;
    SELECT a.version INTO wrong FROM added a
    JOIN release r ON r.version = a.version
    JOIN detection d ON d.id = a.detection_id
    WHERE d.run_id <> r.run_id;
    IF FOUND THEN
        RAISE restrict_violation USING MESSAGE = format('release %s holds sources of its own run only', wrong);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION refuse_missing_sources() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.n_sources <> (SELECT count(*) FROM release_source WHERE version = NEW.version) THEN
        RAISE restrict_violation USING MESSAGE = format('release %s lacks sources', NEW.version);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON release FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON release_source FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON reference_catalog FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON reference_source FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON release EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON release_source EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON run EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON detection EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON measurement EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON band_flux EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON association EXECUTE FUNCTION refuse_truncate_of_released();

CREATE TRIGGER released BEFORE UPDATE OR DELETE ON run
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON detection
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON measurement
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON band_flux
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON association
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();

CREATE TRIGGER right_sources AFTER INSERT ON release_source REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_wrong_sources();
CREATE CONSTRAINT TRIGGER complete AFTER INSERT ON release DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_sources();
