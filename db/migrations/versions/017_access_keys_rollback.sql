\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.access_keys;

DELETE FROM public.schema_migrations WHERE version = '017_access_keys';
COMMIT;
