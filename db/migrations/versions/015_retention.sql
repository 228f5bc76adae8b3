\set ON_ERROR_STOP on
BEGIN;
-- How long what is kept stays, what was removed, what was erased, and the work that one of several servers does for all.

SELECT set_config('lock_timeout', '800ms', true);

-- Work that one server does at a time. Whoever sets `until` has it as long.
CREATE TABLE IF NOT EXISTS public.chores (
    name text PRIMARY KEY,
    owner uuid,
    until timestamptz NOT NULL DEFAULT '-infinity',
    done_at timestamptz
);

-- Rules of an instance that go before the server's. NULL: no limit.
CREATE TABLE IF NOT EXISTS public.instance_retention (
    instance_id uuid NOT NULL,
    kind text NOT NULL,
    seconds bigint CHECK (seconds > 0),
    newest integer CHECK (newest > 0),
    PRIMARY KEY (instance_id, kind)
);

-- The newest event of each instance that was removed: a reader whose cursor is before it has missed something.
CREATE TABLE IF NOT EXISTS public.event_horizons (
    instance_id uuid PRIMARY KEY,
    through bigint NOT NULL
);

-- What was erased, so that a messenger's history does not bring it back: messages of that time or before are refused. Nothing in it says
-- who it was; `digest` is sha256 of the salt and the id of the chat or the sender.
CREATE TABLE IF NOT EXISTS public.erasures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    instance_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('chat', 'sender', 'instance')),
    salt bytea,
    digest bytea,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS erasures_of_instance ON public.erasures (instance_id, at);

-- The usual fifth of a table would be millions of dead rows.
ALTER TABLE public.events SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE public.messages SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE public.deliveries SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
-- Short, and rewritten all the time: each dead row is in the way of the next claim.
ALTER TABLE public.outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

INSERT INTO public.schema_migrations (version) VALUES ('015_retention') ON CONFLICT DO NOTHING;
COMMIT;
