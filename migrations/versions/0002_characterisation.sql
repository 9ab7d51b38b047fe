-- What is released stays as it was, the networks' words and the light curves included. A set of weights is known by its
-- content, and an observation's energies and time slices belong to its content too: none of these rows ever changes.

CREATE OR REPLACE FUNCTION refuse_change_of_released_run() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    runs integer[];
    held_by text;
BEGIN
    IF TG_TABLE_NAME = 'run' THEN
        runs := ARRAY[OLD.id];
    ELSIF TG_TABLE_NAME IN ('detection', 'run_model') THEN
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

CREATE TRIGGER immutable BEFORE UPDATE ON energy_band FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON time_slice FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE ON model_card FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON network_measurement EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON network_band_flux EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON class_probability EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON extension EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON slice_flux EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON variability EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON run_model EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON energy_band EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON time_slice EXECUTE FUNCTION refuse_truncate_of_released();

CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON network_measurement
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON network_band_flux
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON class_probability
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON extension
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON slice_flux
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON variability
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON run_model
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
