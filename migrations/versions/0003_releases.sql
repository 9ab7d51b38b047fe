-- A release is frozen once and may be published once: its status, the date and what was checked then are all that
-- can ever change of it. Only a public release has successors.

CREATE FUNCTION refuse_all_but_publishing() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    publishing constant text[] := ARRAY['status', 'published_at', 'checks'];
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status = 'draft' AND NEW.status = 'public' THEN
        IF to_jsonb(NEW) - publishing = to_jsonb(OLD) - publishing THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE restrict_violation
        USING MESSAGE = format('release %s is never changed, only published: %s refused', OLD.version, TG_OP);
END
$$;

CREATE FUNCTION refuse_draft_as_predecessor() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM release WHERE version = NEW.predecessor AND status = 'public') THEN
        RAISE restrict_violation
            USING MESSAGE = format('release %s is not public and has no successors', NEW.predecessor);
    END IF;
    RETURN NULL;
END
$$;

-- A release says how many sources and relations it has; so none is added later, and none is missing when it is
-- committed.
CREATE FUNCTION refuse_wrong_relations() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    SELECT version INTO wrong FROM release
    WHERE version IN (SELECT version FROM added)
      AND n_relations < (SELECT count(*) FROM source_relation s WHERE s.version = release.version);
    IF FOUND THEN
        RAISE restrict_violation USING MESSAGE = format('release %s is complete: INSERT refused', wrong);
    END IF;
    SELECT a.version INTO wrong FROM added a
    JOIN release r ON r.version = a.version
    WHERE a.previous_version IS DISTINCT FROM r.predecessor;
    IF FOUND THEN
        RAISE restrict_violation
            USING MESSAGE = format('sources of release %s are related to those of its predecessor only', wrong);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION refuse_missing_sources() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.n_sources <> (SELECT count(*) FROM release_source WHERE version = NEW.version) THEN
        RAISE restrict_violation USING MESSAGE = format('release %s lacks sources', NEW.version);
    END IF;
    IF NEW.n_relations <> (SELECT count(*) FROM source_relation WHERE version = NEW.version) THEN
        RAISE restrict_violation USING MESSAGE = format('release %s lacks relations of its sources', NEW.version);
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER immutable ON release;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON release
    FOR EACH ROW EXECUTE FUNCTION refuse_all_but_publishing();
CREATE TRIGGER succession AFTER INSERT ON release
    FOR EACH ROW WHEN (NEW.predecessor IS NOT NULL) EXECUTE FUNCTION refuse_draft_as_predecessor();

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON source_relation
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON source_relation EXECUTE FUNCTION refuse_change();
CREATE TRIGGER right_relations AFTER INSERT ON source_relation REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_wrong_relations();

CREATE OR REPLACE VIEW catalogue_latest AS
SELECT * FROM catalogue
WHERE version = (
    SELECT version FROM release WHERE status = 'public'
    ORDER BY published_at DESC, released_at DESC, version DESC
    LIMIT 1
);
