-- SPDX-License-Identifier: Apache-2.0
-- Who may do what in the gateway's database (PostgreSQL 15 or newer). Run it as a superuser in that database:
--
--   createdb gateway --template template0 --encoding UTF8
--   psql --single-transaction --set ON_ERROR_STOP=1 --dbname gateway --file roles.sql     # (1) roles
--   gateway db upgrade                                                                   # (2) tables, as gateway_owner
--   psql --single-transaction --set ON_ERROR_STOP=1 --dbname gateway --file roles.sql     # (3) what each may
--
-- and again (2) and (3) at each upgrade. It may run any number of times. Passwords are not set here: use `peer` or
-- `cert` in pg_hba.conf, or \password.
--
--   gateway_owner    owns the tables: migrations, the founding, `gateway govern enact`; no process that listens
--   gateway_web      `gateway serve`: adds to the log and cannot change it
--   gateway_serving  answers pulls: servable cells of flow_1_cell through a view, no border event, no audit event's content
--   gateway_backup   reads everything, changes nothing
--   gateway_records  nobody logs in as: owns the tables whose rows have a last day, so that deletion can reach the files

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['gateway_owner', 'gateway_web', 'gateway_serving', 'gateway_backup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_records') THEN
        CREATE ROLE gateway_records NOLOGIN;
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO gateway_owner, gateway_web, gateway_serving, gateway_backup', current_database());
END $$;

GRANT gateway_records TO gateway_web;
-- A month's part is made by gateway_web and changed by migrations.
GRANT gateway_web TO gateway_owner;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO gateway_web, gateway_serving, gateway_backup;
GRANT USAGE, CREATE ON SCHEMA public TO gateway_owner;
-- Monthly parts are made as records arrive. They have a schema of their own, which nobody else searches: whoever could
-- create in `public` could plant a function that the owner calls.
CREATE SCHEMA IF NOT EXISTS gateway_months AUTHORIZATION gateway_records;
CREATE SCHEMA IF NOT EXISTS gateway_serving AUTHORIZATION gateway_owner;
GRANT USAGE ON SCHEMA gateway_serving TO gateway_serving;

DO $$
BEGIN
    EXECUTE format('ALTER ROLE gateway_web IN DATABASE %I SET search_path = gateway_months, public', current_database());
    -- The same query that reads flow_1_cell elsewhere reads the view here.
    EXECUTE format(
        'ALTER ROLE gateway_serving IN DATABASE %I SET search_path = gateway_serving, public', current_database());
END $$;

GRANT pg_read_all_data TO gateway_backup;
ALTER ROLE gateway_backup SET default_transaction_read_only = on;

-- Deleted means gone from the files: the daily deletion waits for older transactions, which it must be able to see, and
-- flushes the WAL. `wal_recycle = off` in postgresql.conf does the rest.
GRANT pg_read_all_stats, pg_checkpoint TO gateway_web;
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO gateway_web;

DO $$
DECLARE
    found record;
BEGIN
    IF to_regclass('public.log_head') IS NULL THEN
        RAISE NOTICE 'no tables yet: run `gateway db upgrade` as gateway_owner, then this file again';
        RETURN;
    END IF;
    FOR found IN
        SELECT c.oid::regclass AS name, c.relkind = 'p' OR c.relispartition AS has_last_day
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format(
            'ALTER TABLE %s OWNER TO %I', found.name,
            CASE WHEN found.has_last_day THEN 'gateway_records' ELSE 'gateway_owner' END);
    END LOOP;

    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, gateway_web, gateway_serving;

    -- A column's right cannot tell to suspend from to resume, so that a trigger does.
    CREATE OR REPLACE FUNCTION public.gateway_narrows() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $narrows$
    BEGIN
        -- One branch for each table: a field that a table has not must not be named for it.
        IF current_user <> 'gateway_web' THEN
            RETURN NEW;
        ELSIF TG_ARGV[0] = 'change' THEN
            IF NOT (OLD.status = 'waiting' AND NEW.status IN ('waiting', 'approved', 'rejected')
                    OR OLD.status = 'approved' AND NEW.status = 'rejected') THEN
                RAISE insufficient_privilege USING MESSAGE = 'a change is put in force, or brought back, by another role';
            END IF;
        ELSIF TG_ARGV[0] = 'not_after' THEN
            IF NEW.not_after IS NULL OR NEW.not_after >= coalesce(OLD.not_after, '9') THEN
                RAISE insufficient_privilege USING MESSAGE = 'gateway_web only ends a key';
            END IF;
        ELSIF NEW.status NOT IN ('suspended', 'revoked') OR OLD.status = 'revoked' THEN
            RAISE insufficient_privilege USING MESSAGE = 'gateway_web only suspends and revokes';
        END IF;
        RETURN NEW;
    END $narrows$;
    ALTER FUNCTION public.gateway_narrows() OWNER TO gateway_owner;
    CREATE OR REPLACE TRIGGER narrows BEFORE UPDATE ON partner FOR EACH ROW EXECUTE FUNCTION gateway_narrows('status');
    CREATE OR REPLACE TRIGGER narrows BEFORE UPDATE ON officer FOR EACH ROW EXECUTE FUNCTION gateway_narrows('status');
    CREATE OR REPLACE TRIGGER narrows BEFORE UPDATE ON certificate_pin FOR EACH ROW
        EXECUTE FUNCTION gateway_narrows('status');
    CREATE OR REPLACE TRIGGER narrows BEFORE UPDATE ON change FOR EACH ROW EXECUTE FUNCTION gateway_narrows('change');
    CREATE OR REPLACE TRIGGER narrows BEFORE UPDATE ON partner_key FOR EACH ROW
        EXECUTE FUNCTION gateway_narrows('not_after');

    -- The gateway process reads all it keeps. Who is known, and what was approved, it can only make less.
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO gateway_web;
    -- The log: add, never change. An event waits in pending_event until it has its leaf; the head row fences.
    GRANT INSERT ON event, event_audience, pending_event, leaf, tile, checkpoint TO gateway_web;
    GRANT DELETE ON pending_event TO gateway_web;
    GRANT UPDATE (size, edge, root) ON log_head TO gateway_web;
    -- Submissions and what is left of records: add, never change.
    GRANT INSERT ON submission, refused_record, tombstone TO gateway_web;
    -- A record of flows is added, and marked once when another supersedes it.
    GRANT INSERT, UPDATE (superseded_by, superseded_at) ON flow_1 TO gateway_web;
    -- What statistics are served from: a cell is added, ends once, and more of it may be withheld.
    GRANT INSERT ON flow_1_series, flow_1_vintage, flow_1_cell TO gateway_web;
    GRANT UPDATE (closed_at, valid_to, suppression, until, hidden_from) ON flow_1_cell TO gateway_web;
    -- Contested numbers: a contest ends once; a notice never changes, and how far it came does.
    GRANT INSERT ON contest, contested_record, notice, subscriber TO gateway_web;
    GRANT UPDATE (withdrawn_at) ON contest TO gateway_web;
    GRANT DELETE ON contested_record TO gateway_web;
    GRANT UPDATE (last_number, delivered_number, attempts, next_at) ON subscriber TO gateway_web;
    -- What an invited body says of itself is kept once; whom it makes a partner, another role decides.
    GRANT UPDATE (answered_at, envelope, certificate) ON invitation TO gateway_web;
    GRANT INSERT ON expiry_warning TO gateway_web;
    GRANT INSERT, DELETE ON spent_request TO gateway_web;
    GRANT UPDATE (count) ON spent_request TO gateway_web;
    -- Officers sign changes. This process keeps them, and does by itself what only takes away; what widens another role
    -- puts in force (`gateway govern enact` as gateway_owner), which verifies every signature anew.
    GRANT INSERT, UPDATE (status, envelope, event_id) ON change TO gateway_web;
    GRANT UPDATE (status) ON partner, officer, certificate_pin TO gateway_web;
    GRANT UPDATE (not_after) ON partner_key TO gateway_web;
    GRANT DELETE ON approval TO gateway_web;
    GRANT INSERT ON stopped TO gateway_web;
    GRANT UPDATE (version) ON registry_version TO gateway_web;
    -- Not evidence: nonces of open windows, and sums that can be made again.
    GRANT INSERT, DELETE ON nonce, rollup_delta TO gateway_web;
    GRANT INSERT ON rollup TO gateway_web;
    GRANT UPDATE (value) ON rollup, rollup_delta TO gateway_web;

    -- What a caller is let in by, and what anyone with the log may see; it tells of each read and cannot read that again.
    GRANT SELECT ON partner, partner_key, officer, certificate_pin, approval, lifecycle, registry_version, stopped,
        alembic_version TO gateway_serving;
    GRANT SELECT ON log_head, leaf, tile, checkpoint, contested_record TO gateway_serving;
    GRANT INSERT ON event, event_audience, pending_event TO gateway_serving;
    -- An agreement's requests count over all processes, so that whoever answers counts them.
    GRANT SELECT, INSERT, DELETE ON spent_request TO gateway_serving;
    GRANT UPDATE (count) ON spent_request TO gateway_serving;

    GRANT SELECT ON flow_1_series TO gateway_serving;

    -- Never another's: what the owner keeps to itself, what is embargoed, and numbers that are withheld from everybody.
    -- Agreements, and the rules for one country, take more away, in the gateway.
    DROP VIEW IF EXISTS gateway_serving.flow_1;
    DROP VIEW IF EXISTS gateway_serving.flow_1_cell;
    CREATE VIEW gateway_serving.flow_1_cell WITH (security_barrier) AS
    SELECT
        series_id, period, record_id, partner_id, revision,
        CASE WHEN suppression = '' OR (until <> '' AND until <= to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'))
            THEN value END AS value,
        status, confidentiality, definition, attributes, accepted_at, valid_from, closed_at, valid_to, suppression, until,
        hidden_from
    FROM public.flow_1_cell
    WHERE suppression <> 'N' AND valid_from <= to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD');
    ALTER VIEW gateway_serving.flow_1_cell OWNER TO gateway_owner;
    GRANT SELECT ON gateway_serving.flow_1_cell TO gateway_serving;
END $$;
