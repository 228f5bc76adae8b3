\set ON_ERROR_STOP on
BEGIN;
-- Messages that go out at a later time, and reminders. `fingerprint` is the digest of what is to be done, where and when: the same once more is
-- the same row while it waits. `key_id`, `approval_id` and the three after it say with whose rights it is carried out.
SELECT set_config('lock_timeout', '800ms', true);

CREATE TABLE IF NOT EXISTS public.scheduled_calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id uuid NOT NULL,
    user_id text NOT NULL,
    chat_id text,
    operation text NOT NULL,
    arguments jsonb NOT NULL,
    body text NOT NULL,
    due_at timestamptz NOT NULL,
    zone text NOT NULL,
    fingerprint text NOT NULL,
    idempotency_key text,
    asker text NOT NULL,
    by_agent boolean NOT NULL,
    caller_user_id text,
    caller_instance_id uuid,
    key_id uuid,
    approval_id uuid,
    approved_by text,
    approved_rest text,
    status text NOT NULL DEFAULT 'waiting',
    outcome jsonb,
    not_before timestamptz NOT NULL,
    claimed_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS scheduled_calls_due ON public.scheduled_calls (not_before) WHERE status = 'waiting';
CREATE INDEX IF NOT EXISTS scheduled_calls_of_instance ON public.scheduled_calls (instance_id, due_at, id);
CREATE UNIQUE INDEX IF NOT EXISTS scheduled_calls_once ON public.scheduled_calls (instance_id, fingerprint) WHERE status = 'waiting';
CREATE UNIQUE INDEX IF NOT EXISTS scheduled_calls_of_key ON public.scheduled_calls (instance_id, idempotency_key) WHERE status = 'waiting';

INSERT INTO public.schema_migrations (version) VALUES ('024_scheduled_calls') ON CONFLICT DO NOTHING;
COMMIT;
