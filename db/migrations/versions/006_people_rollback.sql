\set ON_ERROR_STOP on
BEGIN;
DROP TABLE IF EXISTS public.identities, public.people;

DELETE FROM public.schema_migrations WHERE version = '006_people';
COMMIT;
