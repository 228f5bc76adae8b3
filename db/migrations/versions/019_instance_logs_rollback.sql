\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.instance_logs;

DELETE FROM public.schema_migrations WHERE version = '019_instance_logs';
COMMIT;
