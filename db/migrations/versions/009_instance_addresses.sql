\set ON_ERROR_STOP on
BEGIN;
-- The TCP port on which a server listens for an instance's own address.

CREATE TABLE IF NOT EXISTS public.instance_addresses (
    instance_id uuid PRIMARY KEY,
    tcp_port integer UNIQUE,
    -- Why no server can listen for it. NULL: nothing is in the way.
    trouble text
);

INSERT INTO public.schema_migrations (version) VALUES ('009_instance_addresses') ON CONFLICT DO NOTHING;
COMMIT;
