\set ON_ERROR_STOP on
BEGIN;
-- Keys that may do only some things, at some instances, for some time. They are apart from user_tokens, because a former version of the
-- program would take each row there for everything its user may do.

CREATE TABLE IF NOT EXISTS public.access_keys (
    id uuid PRIMARY KEY,
    user_id text NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    instance_ids uuid[],
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX IF NOT EXISTS access_keys_of_user ON public.access_keys (user_id, created_at DESC, id);

INSERT INTO public.schema_migrations (version) VALUES ('017_access_keys') ON CONFLICT DO NOTHING;
COMMIT;
