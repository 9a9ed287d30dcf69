#!/usr/bin/env bash
# Starts one broker; formats its disk the first time. NODE is 1, 2 or 3, CLUSTER the cluster's id.
set -euo pipefail

config=/run/kafka/server.properties
kafka=/opt/kafka/bin
{
    cat /etc/nrm/broker.properties
    echo "node.id=${NODE}"
    echo "listeners=CLIENT://:9092,INTERNAL://:9094,OPERATOR://:9095,CONTROLLER://:9093"
    echo "advertised.listeners=CLIENT://kafka-${NODE}:9092,INTERNAL://kafka-${NODE}:9094,OPERATOR://kafka-${NODE}:9095"
} >"${config}"

if [[ ! -f /var/lib/kafka/data/meta.properties ]]; then
    # Its output holds what a password is checked by.
    "${kafka}/kafka-storage.sh" format --cluster-id "${CLUSTER}" --config "${config}" \
        --add-scram "SCRAM-SHA-512=[name=admin,password=$(</run/secrets/kafka_admin_password)]" \
        >/dev/null
fi
exec "${kafka}/kafka-server-start.sh" "${config}"
