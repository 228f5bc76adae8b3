\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.channels;

DELETE FROM public.schema_migrations WHERE version = '029_channels';
COMMIT;
