# The image of ArcBilling: docker build -t arcbilling . && docker run -p 8000:8000 -v arcbilling:/data arcbilling

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/arcbilling
COPY requirements.lock /source/
RUN /opt/arcbilling/bin/pip install --require-hashes -r /source/requirements.lock
COPY pyproject.toml README.md LICENSE /source/
COPY arcbilling /source/arcbilling
COPY executor /source/executor
COPY models /source/models
COPY provisioning /source/provisioning
COPY resolvers /source/resolvers
COPY rest_compat /source/rest_compat
COPY schema /source/schema
COPY webhooks /source/webhooks
RUN /opt/arcbilling/bin/pip install --no-deps /source

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin arcbilling \
    && install -d -o arcbilling -g arcbilling -m 0700 /data
COPY --from=build /opt/arcbilling /opt/arcbilling
ENV PATH=/opt/arcbilling/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ARCBILLING_DATA_DIR=/data \
    ARCBILLING_HOST=0.0.0.0
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + (os.environ.get('ARCBILLING_PORT') or '8000') + '/readyz', timeout=4)"]
ENTRYPOINT ["arcbilling"]
CMD ["serve"]
