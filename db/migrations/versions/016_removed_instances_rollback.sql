\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.removed_instances;

DELETE FROM public.schema_migrations WHERE version = '016_removed_instances';
COMMIT;
