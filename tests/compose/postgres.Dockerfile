# What the compose file needs of the official image, for machines that reach no image registry.
ARG DEBIAN_IMAGE=debian:trixie
FROM ${DEBIAN_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin /usr/local/postgresql && install -d -o postgres -g postgres /var/lib/postgresql/data
ENV PATH=/usr/local/postgresql:$PATH PGDATA=/var/lib/postgresql/data/pgdata
USER postgres
STOPSIGNAL SIGINT
CMD ["bash", "-ec", "[ -d $PGDATA ] || { echo \"$POSTGRES_PASSWORD\" >/tmp/password && initdb --username=\"$POSTGRES_USER\" --auth=scram-sha-256 --pwfile=/tmp/password --encoding=UTF8 --locale=C >/dev/null && echo 'host all all all scram-sha-256' >>$PGDATA/pg_hba.conf && echo \"CREATE DATABASE $POSTGRES_DB\" | postgres --single -D $PGDATA postgres >/dev/null; }; exec postgres -D $PGDATA -c listen_addresses='*' -c unix_socket_directories=''"]
