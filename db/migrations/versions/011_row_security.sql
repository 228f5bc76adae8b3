\set ON_ERROR_STOP on
BEGIN;
-- Some platforms let anybody who knows a public key query the schema `public` as the role `anon` or `authenticated`, and grant these
-- roles every new table by default. What is kept here is for our own roles: everything is taken from these two and from PUBLIC, and row
-- security refuses them even where a table was granted to them again. The owner of a table is not held up by row security; another role
-- that was granted the tables passes by the policy. Other tables of the schema are not touched, and neither are default privileges: the
-- database may serve other programs. The migration runner calls the function for whatever a later migration makes.

CREATE OR REPLACE FUNCTION public.mcp_messenger_close(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = relation);
    sort text := CASE kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END;
    stranger text;
BEGIN
    EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC', sort, relation);
    FOR stranger IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %I', sort, relation, stranger);
    END LOOP;
    IF kind IN ('r', 'p') THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('DROP POLICY IF EXISTS mcp_messenger ON %s', relation);
        EXECUTE format('CREATE POLICY mcp_messenger ON %s USING (current_user NOT IN (''anon'', ''authenticated''))', relation);
    ELSIF kind = 'v' AND current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', relation);
    END IF;
END
$$;

DO $$
DECLARE
    stranger text;
BEGIN
    REVOKE ALL ON FUNCTION public.mcp_messenger_close(regclass) FROM PUBLIC;
    FOR stranger IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION public.mcp_messenger_close(regclass) FROM %I', stranger);
    END LOOP;
    -- Writers of messages hold this lock (the event log's): while it is ours, no new one begins.
    PERFORM pg_advisory_xact_lock(7019830104723521);
    -- Each table is locked for a moment, while others write. In less than the time after which PostgreSQL looks for deadlocks this file
    -- gives way, and the runner tries it again: no writer is ever the one that fails. Tables come in
    -- the order in which programs write them that do not take the log's lock.
    PERFORM set_config('lock_timeout', '800ms', true);
    PERFORM public.mcp_messenger_close(found.relation) FROM (
        WITH named AS (
            SELECT to_regclass('public.' || name) AS relation, place FROM unnest(ARRAY[
                'schema_migrations', 'leases', 'message_instances', 'all_instances', 'messages', 'chats', 'contacts', 'events', 'event_numbers',
                'deliveries', 'outbox', 'status_history', 'qr_codes', 'api_keys', 'user_tokens', 'instance_secrets', 'reveals',
                'instance_errors', 'calls', 'rate_limits', 'delivery_endpoints', 'agent_chats', 'people', 'identities', 'installation',
                'instance_addresses', 'chat_aliases', 'chat_closures', 'chat_successions']) WITH ORDINALITY AS all_names (name, place)
        ), tables AS (
            SELECT relation, place FROM named WHERE relation IS NOT NULL
            UNION ALL
            SELECT inhrelid::regclass, place + 0.5 FROM pg_inherits JOIN named ON inhparent = relation
        )
        SELECT relation, place FROM tables
        UNION ALL
        SELECT d.objid::regclass, place FROM pg_depend d JOIN tables ON d.refobjid = relation JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
        ORDER BY place
    ) AS found;
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('011_row_security') ON CONFLICT DO NOTHING;
COMMIT;
