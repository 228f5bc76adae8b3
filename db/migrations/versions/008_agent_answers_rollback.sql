\set ON_ERROR_STOP on
BEGIN;
DO $$
DECLARE
    had_view boolean := to_regclass('public.all_instances') IS NOT NULL;
BEGIN
    DROP VIEW IF EXISTS public.all_instances;
    ALTER TABLE public.message_instances DROP COLUMN IF EXISTS quiet_hours;
    IF had_view THEN
        CREATE VIEW public.all_instances AS SELECT * FROM public.message_instances;
    END IF;
END
$$;

ALTER TABLE IF EXISTS public.deliveries DROP COLUMN IF EXISTS shown, DROP COLUMN IF EXISTS answer;

DELETE FROM public.schema_migrations WHERE version = '008_agent_answers';
COMMIT;
