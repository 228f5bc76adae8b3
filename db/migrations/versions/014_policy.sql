\set ON_ERROR_STOP on
BEGIN;
-- What agents may do: the policy of each instance, the chats that its owner has approved for good, the chats whose words each agent was
-- shown, and the calls that wait for a person.

CREATE TABLE IF NOT EXISTS public.instance_policies (
    instance_id uuid PRIMARY KEY,
    document jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL
);

CREATE TABLE IF NOT EXISTS public.trusted_chats (
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    trusted_at timestamptz NOT NULL DEFAULT now(),
    trusted_by text NOT NULL,
    PRIMARY KEY (instance_id, chat_id)
);

-- `incoming`: words of somebody else were among them. `chat_id` '*': of chats that nobody can name any more.
CREATE TABLE IF NOT EXISTS public.shown_chats (
    asker text NOT NULL,
    instance_id uuid NOT NULL,
    chat_id text NOT NULL,
    incoming boolean NOT NULL,
    shown_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asker, instance_id, chat_id)
);
CREATE INDEX IF NOT EXISTS shown_chats_by_age ON public.shown_chats (shown_at);

-- `sealed` holds the whole call, encrypted, for its arguments may be secrets. `binding` is the digest of what may not change until it is
-- carried out. `page_digest` opens its page once. `outcome` is what became of it.
CREATE TABLE IF NOT EXISTS public.approvals (
    id uuid PRIMARY KEY,
    code text NOT NULL,
    kind text NOT NULL,
    user_id text NOT NULL,
    instance_id uuid,
    operation text NOT NULL,
    sealed bytea NOT NULL,
    binding text NOT NULL,
    chat_id text,
    rule text NOT NULL,
    reason text NOT NULL,
    asker text NOT NULL,
    caller_user_id text,
    caller_instance_id uuid,
    idempotency_key text,
    status text NOT NULL DEFAULT 'pending',
    decided_by text,
    decided_at timestamptz,
    claimed_until timestamptz,
    outcome jsonb,
    page_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS approvals_of_user ON public.approvals (user_id, created_at DESC, id);
CREATE INDEX IF NOT EXISTS approvals_of_instance ON public.approvals (instance_id, created_at DESC, id);
CREATE INDEX IF NOT EXISTS approvals_to_do ON public.approvals (status, claimed_until) WHERE status IN ('pending', 'approved');
CREATE UNIQUE INDEX IF NOT EXISTS approvals_once ON public.approvals (asker, operation, binding) WHERE status = 'pending';

INSERT INTO public.schema_migrations (version) VALUES ('014_policy') ON CONFLICT DO NOTHING;
COMMIT;
