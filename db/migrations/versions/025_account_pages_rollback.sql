\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.page_links;

DO $$
DECLARE
    had_view boolean := to_regclass('public.all_instances') IS NOT NULL;
BEGIN
    DROP VIEW IF EXISTS public.all_instances;
    ALTER TABLE public.message_instances DROP COLUMN IF EXISTS name;
    IF had_view THEN
        CREATE VIEW public.all_instances AS SELECT * FROM public.message_instances;
    END IF;
END
$$;

DELETE FROM public.schema_migrations WHERE version = '025_account_pages';
COMMIT;
