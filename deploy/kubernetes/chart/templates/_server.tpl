{{- /* What the process is told. Secrets are files; their paths are not secret. */ -}}
{{- define "millrace.serverEnv" -}}
- { name: MILLRACE_INSTANCE_ID, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
- { name: MILLRACE_GRPC_HOST, value: 0.0.0.0 }
- { name: MILLRACE_GRPC_PORT, value: '7420' }
- { name: MILLRACE_HTTP_HOST, value: 0.0.0.0 }
- { name: MILLRACE_HTTP_PORT, value: '7425' }
- { name: MILLRACE_ACCESS_FILE, value: /etc/millrace/access/access }
{{- if .Values.tls.enabled }}
- { name: MILLRACE_TLS_CERT, value: /etc/millrace/tls/tls.crt }
- { name: MILLRACE_TLS_KEY, value: /etc/millrace/tls/tls.key }
{{- if .Values.tls.clientCertificates }}
- { name: MILLRACE_TLS_CLIENT_CA, value: /etc/millrace/tls/ca.crt }
{{- end }}
{{- else }}
- { name: MILLRACE_ALLOW_PLAINTEXT, value: 'yes' }
{{- end }}
- { name: MILLRACE_DATA_DIR, value: /var/lib/millrace }
- { name: MILLRACE_SAVEPOINT_DIR, value: /var/lib/millrace/savepoints }
- { name: MILLRACE_LOG_DIR, value: /var/lib/millrace/log }
- { name: MILLRACE_THREADS, value: {{ .Values.threads | quote }} }
- { name: MILLRACE_READY_LAG, value: {{ int64 .Values.readyLagRecords | quote }} }
- { name: MILLRACE_SHUTDOWN_GRACE, value: {{ printf "%ds" (int .Values.shutdownGraceSeconds) }} }
{{- with .Values.kafka }}
{{- if .brokers }}
- { name: MILLRACE_BROKERS, value: {{ .brokers | quote }} }
{{- end }}
{{- if .tls }}
- { name: MILLRACE_KAFKA_TLS, value: 'on' }
{{- end }}
{{- if .caSecret }}
- { name: MILLRACE_KAFKA_CA, value: /etc/millrace/kafka-ca/ca.crt }
{{- end }}
{{- if .sasl }}
- { name: MILLRACE_KAFKA_SASL, value: {{ .sasl }} }
- { name: MILLRACE_KAFKA_USER, value: {{ .user | quote }} }
- { name: MILLRACE_KAFKA_PASSWORD_FILE, value: /etc/millrace/kafka/password }
{{- end }}
{{- end }}
{{- with .Values.redis }}
{{- if .url }}
- { name: MILLRACE_REDIS, value: {{ .url | quote }} }
- { name: MILLRACE_REDIS_REPLICAS, value: {{ .replicas | quote }} }
{{- if .user }}
- { name: MILLRACE_REDIS_USER, value: {{ .user | quote }} }
{{- end }}
{{- if .passwordSecret }}
- { name: MILLRACE_REDIS_PASSWORD_FILE, value: /etc/millrace/redis/password }
{{- end }}
{{- if .caSecret }}
- { name: MILLRACE_REDIS_CA, value: /etc/millrace/redis-ca/ca.crt }
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.config }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
- { name: NODE_COMPILE_CACHE, value: /tmp/compiled }
{{- end -}}

{{- /* Each secret that is mounted: name of the volume, name of the secret. The folder is /etc/millrace/ and the volume. */ -}}
{{- define "millrace.secrets" -}}
access: {{ .Values.access.secretName }}
{{- if .Values.tls.enabled }}
tls: {{ .Values.tls.secretName }}
{{- end }}
{{- if .Values.kafka.caSecret }}
kafka-ca: {{ .Values.kafka.caSecret }}
{{- end }}
{{- if .Values.kafka.sasl }}
kafka: {{ .Values.kafka.passwordSecret }}
{{- end }}
{{- if and .Values.redis.url .Values.redis.passwordSecret }}
redis: {{ .Values.redis.passwordSecret }}
{{- end }}
{{- if and .Values.redis.url .Values.redis.caSecret }}
redis-ca: {{ .Values.redis.caSecret }}
{{- end }}
{{- end -}}

{{- define "millrace.secretMounts" -}}
{{- range $volume, $secret := include "millrace.secrets" . | fromYaml -}}
- { name: {{ $volume }}, mountPath: /etc/millrace/{{ $volume }}, readOnly: true }
{{ end }}
{{- end -}}

{{- define "millrace.secretVolumes" -}}
{{- range $volume, $secret := include "millrace.secrets" . | fromYaml -}}
- { name: {{ $volume }}, secret: { secretName: {{ $secret }}, defaultMode: 288 } }
{{ end }}
{{- end -}}
