\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.calls;

DELETE FROM public.schema_migrations WHERE version = '003_calls';
COMMIT;
