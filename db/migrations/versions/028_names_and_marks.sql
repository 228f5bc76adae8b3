\set ON_ERROR_STOP on
BEGIN;
-- Names by which people are known here, besides those that they chose themselves, and how the account keeps its chats.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.contact_names (
    instance_id uuid NOT NULL,
    folded text NOT NULL,
    name text NOT NULL,
    chat_id text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by text NOT NULL,
    PRIMARY KEY (instance_id, folded)
);
CREATE INDEX IF NOT EXISTS contact_names_of_chat ON public.contact_names (instance_id, chat_id);

CREATE TABLE IF NOT EXISTS public.chat_marks (
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    pinned boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    muted boolean NOT NULL DEFAULT false,
    muted_until timestamptz,
    PRIMARY KEY (instance_id, chat_id)
);

INSERT INTO public.schema_migrations (version) VALUES ('028_names_and_marks') ON CONFLICT DO NOTHING;
COMMIT;
