// Package manifests checks what deploy hands to Docker Compose and Kubernetes
// against the schemas of those, and for being about the same daemon. It is a
// module of its own: their libraries are none of the daemon's business.
package manifests
