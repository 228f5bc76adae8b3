\set ON_ERROR_STOP on
BEGIN;
-- Instances that were removed while their messages stayed: whose they were, so that their owner can have the rest removed later.
CREATE TABLE IF NOT EXISTS public.removed_instances (
    id uuid PRIMARY KEY,
    user_id text NOT NULL,
    provider text NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO public.schema_migrations (version) VALUES ('016_removed_instances') ON CONFLICT DO NOTHING;
COMMIT;
