\set ON_ERROR_STOP on
BEGIN;
DROP INDEX IF EXISTS public.contacts_search, public.contacts_phone, public.identities_of_contact;
DROP FUNCTION IF EXISTS public.mcp_messenger_triples(uuid, text);

DELETE FROM public.schema_migrations WHERE version = '010_contact_search';
COMMIT;
