\set ON_ERROR_STOP on
BEGIN;
-- People whom the owner lets reach agents, and what a key narrows of the policies of its instances.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.paired_chats (
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    paired_at timestamptz NOT NULL DEFAULT now(),
    paired_by text NOT NULL,
    PRIMARY KEY (instance_id, chat_id)
);

ALTER TABLE public.access_keys ADD COLUMN IF NOT EXISTS policy jsonb;

INSERT INTO public.schema_migrations (version) VALUES ('022_pairing') ON CONFLICT DO NOTHING;
COMMIT;
