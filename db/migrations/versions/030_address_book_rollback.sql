\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('lock_timeout', '800ms', true);
ALTER TABLE public.contacts DROP COLUMN IF EXISTS saved;
ALTER TABLE public.contact_names DROP COLUMN IF EXISTS owners_chat;

DELETE FROM public.schema_migrations WHERE version = '030_address_book';
COMMIT;
