\set ON_ERROR_STOP on
BEGIN;
-- What was granted to others is not granted again: nobody has to lose it twice.
DO $$
DECLARE
    closed regclass;
BEGIN
    FOR closed IN
        SELECT p.polrelid::regclass FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE p.polname = 'mcp_messenger' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
    LOOP
        EXECUTE format('DROP POLICY mcp_messenger ON %s', closed);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', closed);
    END LOOP;
    IF to_regclass('public.all_instances') IS NOT NULL AND current_setting('server_version_num')::int >= 150000 THEN
        ALTER VIEW public.all_instances RESET (security_invoker);
    END IF;
END
$$;

DROP FUNCTION IF EXISTS public.mcp_messenger_close(regclass);

DELETE FROM public.schema_migrations WHERE version = '011_row_security';
COMMIT;
