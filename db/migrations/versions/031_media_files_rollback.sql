\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.media_files;

DELETE FROM public.schema_migrations WHERE version = '031_media_files';
COMMIT;
