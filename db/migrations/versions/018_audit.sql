\set ON_ERROR_STOP on
BEGIN;
-- Who did what to whom, and which rule or person let them or did not. Rows are only added: a trigger refuses to change or remove one, but
-- for its place in the chain, which is set once, and for what an erasure or retention takes out, whose transaction says so in a setting.
-- Whoever owns the tables can get around that; the chain of hashes shows it. `mac` proves who wrote a row until it is in the chain.
-- `digest` is that of whom and what a row is about, with a salt: when these are erased, it says nothing and the chain still holds.
CREATE TABLE IF NOT EXISTS public.audit_log (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    user_id text,
    caller text NOT NULL,
    key_id uuid,
    session text,
    client text,
    operation text NOT NULL,
    instance_id uuid,
    chat_id text,
    target text,
    message_id bigint,
    outcome text NOT NULL,
    rule text,
    decided_by text,
    approval_id uuid,
    code text,
    content bytea,
    salt bytea,
    details jsonb,
    mac bytea,
    position bigint,
    is_genuine boolean,
    digest bytea,
    hash bytea,
    erased_at timestamptz
);
-- Ids grow with time, so each of these is read in the order of time.
CREATE INDEX IF NOT EXISTS audit_log_to_seal ON public.audit_log (id) WHERE position IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS audit_log_sealed ON public.audit_log (position) WHERE position IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_log_of_user ON public.audit_log (user_id, id);
CREATE INDEX IF NOT EXISTS audit_log_of_instance ON public.audit_log (instance_id, id);
-- Each row is rewritten once, soon after it was added.
ALTER TABLE public.audit_log SET (autovacuum_vacuum_scale_factor = 0.05);

-- The end of the chain, signed with a key that is not in the database.
CREATE TABLE IF NOT EXISTS public.audit_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    position bigint NOT NULL,
    hash bytea NOT NULL,
    signature bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION public.mcp_messenger_audit_only_grows() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    allowed text := coalesce(current_setting('mcp_messenger.audit', true), '');
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.position IS NULL AND NEW.position IS NOT NULL AND to_jsonb(NEW) - ARRAY['position', 'is_genuine', 'digest', 'hash']
            = to_jsonb(OLD) - ARRAY['position', 'is_genuine', 'digest', 'hash']
        THEN
            RETURN NEW;
        END IF;
        IF allowed = 'erase' AND NEW.erased_at IS NOT NULL AND to_jsonb(NEW) - ARRAY['chat_id', 'target', 'content', 'salt', 'erased_at']
            = to_jsonb(OLD) - ARRAY['chat_id', 'target', 'content', 'salt', 'erased_at']
        THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' AND allowed = 'retention' THEN
        RETURN OLD;
    ELSIF TG_OP = 'TRUNCATE' AND allowed = 'restore' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'insufficient_privilege';
END
$$;

DO $$
DECLARE
    stranger text;
BEGIN
    REVOKE ALL ON FUNCTION public.mcp_messenger_audit_only_grows() FROM PUBLIC;
    FOR stranger IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION public.mcp_messenger_audit_only_grows() FROM %I', stranger);
    END LOOP;
END
$$;

DROP TRIGGER IF EXISTS audit_only_grows ON public.audit_log;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON public.audit_log
    FOR EACH ROW EXECUTE FUNCTION public.mcp_messenger_audit_only_grows();
DROP TRIGGER IF EXISTS audit_is_not_emptied ON public.audit_log;
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON public.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION public.mcp_messenger_audit_only_grows();

INSERT INTO public.schema_migrations (version) VALUES ('018_audit') ON CONFLICT DO NOTHING;
COMMIT;
