# opcredsd in a container: one static binary, no shell, no root, nothing written
# but the state. docs/container.md describes how to run it.
#
#	docker buildx build --platform linux/amd64,linux/arm64,linux/arm/v7 \
#		--build-arg VERSION="$(packaging/version.sh)" --tag opcredsd .
#	buildah bud --format docker --tag opcredsd .
#
# The builder only needs Go and a POSIX shell: BUILDER may name another image.
# buildah needs --format docker, as OCI images have no HEALTHCHECK.
ARG BUILDER=docker.io/library/golang:1.26-alpine

# The builder runs on the machine that builds, and cross-compiles.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
ARG VERSION=0.0.0-container
ARG COMMIT=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	set -e; \
	CGO_ENABLED=0 GOOS="$TARGETOS" GOARCH="$TARGETARCH" GOARM="${TARGETVARIANT#v}" \
		go build -trimpath -buildvcs=false -tags nethttpomithttp2 \
		-ldflags "-s -w -buildid= -X main.release=$VERSION -X main.commit=$COMMIT" \
		-o /rootfs/usr/bin/opcredsd ./cmd/opcredsd; \
	mkdir -p /rootfs/etc /rootfs/usr/share/doc/opcredsd; \
	packaging/licenses.sh >/rootfs/usr/share/doc/opcredsd/THIRD-PARTY-LICENSES; \
	cp LICENSE /rootfs/usr/share/doc/opcredsd/; \
	chmod 644 /rootfs/usr/share/doc/opcredsd/*; \
	echo 'opcredsd:x:65532:65532:opcredsd:/var/lib/opcredsd:/sbin/nologin' >/rootfs/etc/passwd; \
	echo 'opcredsd:x:65532:' >/rootfs/etc/group; \
	mkdir -p /rootfs/var/lib /rootfs/run /state /sockets; \
	mkdir -m 700 /state/opcredsd; \
	mkdir -m 750 /sockets/opcredsd

FROM scratch
ARG VERSION=0.0.0-container
LABEL org.opencontainers.image.title="opcredsd" \
	org.opencontainers.image.description="Matter node for Linux gateways" \
	org.opencontainers.image.source="https://github.com/opcredsd/opcredsd" \
	org.opencontainers.image.licenses="Apache-2.0" \
	org.opencontainers.image.version="${VERSION}"
COPY --from=build /rootfs/ /
# A named volume takes owner and mode from here.
COPY --from=build --chown=65532:65532 /state/ /var/lib/
COPY --from=build --chown=65532:65532 /sockets/ /run/
USER 65532:65532
# No VOLUME: with one an engine that is given no volume quietly makes one that
# goes with the container, and the fabrics with it. The daemon refuses instead.
ENV OPCREDSD_STATE_DIR=/var/lib/opcredsd \
	OPCREDSD_REQUIRE_VOLUME=true \
	OPCREDSD_LOG_FORMAT=json
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
	CMD ["/usr/bin/opcredsd", "healthcheck"]
ENTRYPOINT ["/usr/bin/opcredsd"]
CMD ["run"]
