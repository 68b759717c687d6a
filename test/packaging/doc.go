// Package packaging proves what is shipped beside the program: the systemd unit,
// the Debian packages, the container image, the binaries for other architectures,
// and alerts and dashboard, with the tools that people use them with. Its tests
// need root and the build tag packaging; what is missing they name and fail.
package packaging
