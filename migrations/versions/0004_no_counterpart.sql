-- What is released stays as it was.
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON no_counterpart EXECUTE FUNCTION refuse_truncate_of_released();
CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON no_counterpart
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run();
