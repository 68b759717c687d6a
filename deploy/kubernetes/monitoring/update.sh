#!/bin/sh
# update.sh makes prometheusrule.yaml from ../../prometheus/alerts.yaml, whose rules are
# the ones to change.
set -eu
cd "$(dirname "$0")"
{
	cat <<EOF
# Made by update.sh from deploy/prometheus/alerts.yaml: change that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: opcredsd
  namespace: opcredsd
  labels:
    app.kubernetes.io/name: opcredsd
spec:
EOF
	sed -n '/^groups:/,$p' ../../prometheus/alerts.yaml | sed 's/^\(.\)/  \1/'
} >"${1:-prometheusrule.yaml}"
