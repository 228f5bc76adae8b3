\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.early_reports;

DELETE FROM public.schema_migrations WHERE version = '032_early_reports';
COMMIT;
