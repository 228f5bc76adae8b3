\set ON_ERROR_STOP on
BEGIN;
-- Whom the account itself keeps in its address book, apart from everybody who ever wrote: as the platform lists them (`saved`), and as the
-- owner named them. `owners_chat` is the chat that the owner gave a name for: a name that somebody points elsewhere later is not the owner's.
SELECT set_config('lock_timeout', '800ms', true);

ALTER TABLE public.contacts ADD COLUMN IF NOT EXISTS saved boolean NOT NULL DEFAULT false;
ALTER TABLE public.contact_names ADD COLUMN IF NOT EXISTS owners_chat text;

INSERT INTO public.schema_migrations (version) VALUES ('030_address_book') ON CONFLICT DO NOTHING;
COMMIT;
