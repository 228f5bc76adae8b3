\set ON_ERROR_STOP on
BEGIN;
-- Which agent answers in which chats of an instance, where that is not its agent_id. NULL: nowhere.
SELECT set_config('lock_timeout', '800ms', true);

ALTER TABLE public.message_instances ADD COLUMN IF NOT EXISTS agent_routes jsonb;

INSERT INTO public.schema_migrations (version) VALUES ('027_agent_routes') ON CONFLICT DO NOTHING;
COMMIT;
