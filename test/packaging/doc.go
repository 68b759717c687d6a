// Package packaging tests what is shipped with the program: the systemd unit, the
// Debian packages, the container image, the binaries for other architectures, and
// the alerts and the dashboard, with the tools that people use for them. The tests
// need root and the build tag packaging. They fail if a tool is missing, and name
// it.
package packaging
