\set ON_ERROR_STOP on
BEGIN;
-- Contacts are found by any part of a name, user name, phone or id, and by one phone number on several messengers. The index holds the
-- triples of letters of a contact, each behind the beginning of its instance's id, so that a search reads nothing of other instances.
-- It needs no extension: the embedded PostgreSQL has no pg_trgm.

CREATE OR REPLACE FUNCTION public.mcp_messenger_triples(instance_id uuid, words text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT left(instance_id::text, 8) || substr(words, at, 3)), '{}') FROM generate_series(1, length(words) - 2) AS at
$$;

-- Whoever may write contacts has to be able to run it; nobody else.
DO $$
DECLARE
    grantee text;
BEGIN
    REVOKE ALL ON FUNCTION public.mcp_messenger_triples(uuid, text) FROM PUBLIC;
    FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION public.mcp_messenger_triples(uuid, text) FROM %I', grantee);
    END LOOP;
    FOR grantee IN
        SELECT DISTINCT r.rolname FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS given JOIN pg_roles r ON r.oid = given.grantee
        WHERE c.oid = 'public.contacts'::regclass AND given.privilege_type = 'INSERT' AND r.rolname NOT IN ('anon', 'authenticated')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.mcp_messenger_triples(uuid, text) TO %I', grantee);
    END LOOP;
END
$$;

CREATE INDEX IF NOT EXISTS contacts_search ON public.contacts USING gin (public.mcp_messenger_triples(instance_id,
    lower(name) || chr(10) || coalesce(lower(username), '') || chr(10) || coalesce(phone, '') || chr(10) || lower(id)));
CREATE INDEX IF NOT EXISTS contacts_phone ON public.contacts (phone, instance_id, id) WHERE phone <> '';
CREATE INDEX IF NOT EXISTS identities_of_contact ON public.identities (instance_id, contact_id);

INSERT INTO public.schema_migrations (version) VALUES ('010_contact_search') ON CONFLICT DO NOTHING;
COMMIT;
