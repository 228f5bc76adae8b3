\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.rate_limits;

DELETE FROM public.schema_migrations WHERE version = '004_rate_limits';
COMMIT;
