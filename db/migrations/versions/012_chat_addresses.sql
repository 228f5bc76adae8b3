\set ON_ERROR_STOP on
BEGIN;
-- Further ids under which a platform speaks of a chat, chats that take no messages, and ids that changed hands.

-- `thread_id`: the alias is a thread of the chat. An alias of a person whose id hides the number is one of the chat with that number.
CREATE TABLE IF NOT EXISTS public.chat_aliases (
    instance_id uuid NOT NULL,
    alias text NOT NULL,
    chat_id text NOT NULL,
    thread_id text,
    PRIMARY KEY (instance_id, alias)
);
CREATE INDEX IF NOT EXISTS chat_aliases_of_chat ON public.chat_aliases (instance_id, chat_id);

CREATE TABLE IF NOT EXISTS public.chat_closures (
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, chat_id)
);

-- A number that its owner gave up and somebody else writes from: agents begin a new conversation there.
CREATE TABLE IF NOT EXISTS public.chat_successions (
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, chat_id)
);

INSERT INTO public.schema_migrations (version) VALUES ('012_chat_addresses') ON CONFLICT DO NOTHING;
COMMIT;
