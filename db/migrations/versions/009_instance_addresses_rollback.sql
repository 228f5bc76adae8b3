\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.instance_addresses;

DELETE FROM public.schema_migrations WHERE version = '009_instance_addresses';
COMMIT;
