\set ON_ERROR_STOP on
BEGIN;
-- Answers that are shown while they grow, and the hours in which an instance's agent is silent.

ALTER TABLE public.deliveries
    -- Of the first delivery of a burst whose answer is being shown: what stands in the chat by now. NULL: nothing of it does.
    ADD COLUMN IF NOT EXISTS shown text,
    -- The whole answer, until it stands there.
    ADD COLUMN IF NOT EXISTS answer text;

-- NULL: the server's own. 'off': none.
ALTER TABLE public.message_instances ADD COLUMN IF NOT EXISTS quiet_hours text;

DO $$
BEGIN
    IF to_regclass('public.all_instances') IS NOT NULL THEN
        DROP VIEW public.all_instances;
        CREATE VIEW public.all_instances AS SELECT * FROM public.message_instances;
    END IF;
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('008_agent_answers') ON CONFLICT DO NOTHING;
COMMIT;
