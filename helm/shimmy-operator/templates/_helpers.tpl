{{- define "shimmy.image" -}}
{{ .root.Values.image.registry }}/{{ .repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "shimmy.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: shimmy
{{- end }}

{{- define "shimmy.labels" -}}
{{ include "shimmy.selector" . }}
app.kubernetes.io/component: {{ .name | trimPrefix "shimmy-" }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "shimmy.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "shimmy.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Whether the router listens for plain HTTP: not empty if so. */}}
{{- define "shimmy.plaintext" -}}
{{- if or (not .Values.router.tls.enabled) .Values.router.tls.plaintext }}true{{ end }}
{{- end }}

{{- /* Where clients send requests to. */}}
{{- define "shimmy.endpoint" -}}
{{- $service := .Values.router.service }}
{{- $host := printf "shimmy-router.%s.svc" .Release.Namespace }}
{{- if .Values.router.endpoint }}{{ .Values.router.endpoint }}
{{- else if .Values.router.tls.enabled }}https://{{ $host }}{{ if ne (int $service.tlsPort) 443 }}:{{ $service.tlsPort }}{{ end }}/v1
{{- else }}http://{{ $host }}{{ if ne (int $service.port) 80 }}:{{ $service.port }}{{ end }}/v1
{{- end }}
{{- end }}

{{- /* Envoy's worker threads: what is set, else its CPU limit rounded up, else 2. */}}
{{- define "shimmy.concurrency" -}}
{{- $cpu := dig "limits" "cpu" "" .Values.router.envoy.resources | toString }}
{{- if .Values.router.envoy.concurrency }}{{ int .Values.router.envoy.concurrency }}
{{- else if hasSuffix "m" $cpu }}{{ divf (trimSuffix "m" $cpu | float64) 1000 | ceil | int | max 1 }}
{{- else if $cpu }}{{ float64 $cpu | ceil | int | max 1 }}
{{- else }}2
{{- end }}
{{- end }}

{{- /* Blocks as the operator's --fetch-egress takes them: CIDR=PORT,PORT separated by spaces. */}}
{{- define "shimmy.fetchEgress" -}}
{{- $blocks := list }}
{{- range .Values.fetch.egress }}
{{- $ports := list }}
{{- range .ports | default (list 443) }}{{ $ports = append $ports (int . | toString) }}{{ end }}
{{- $blocks = append $blocks (printf "%s=%s" .cidr (join "," $ports)) }}
{{- end }}
{{- join " " $blocks }}
{{- end }}

{{- /* Secret of the metrics server's certificate, by name. */}}
{{- define "shimmy.meterSecret" -}}
{{ .Values.meter.tls.secretName | default "shimmy-meter-tls" }}
{{- end }}

{{- /* Whether external metrics of the cluster are to come from here: not empty if so. */}}
{{- define "shimmy.externalMetrics" -}}
{{- $there := lookup "apiregistration.k8s.io/v1" "APIService" "" "v1beta1.external.metrics.k8s.io" }}
{{- $ours := or (not $there) (eq "shimmy" (dig "metadata" "labels" "app.kubernetes.io/part-of" "" ($there | default dict))) }}
{{- if or (eq .Values.meter.externalMetrics "always") (and (eq .Values.meter.externalMetrics "auto") $ours) }}true{{ end }}
{{- end }}

{{- /* Where routers reach each of its replicas. */}}
{{- define "shimmy.meterReplicas" -}}
https://shimmy-meter-replicas.{{ .Release.Namespace }}.svc:6443
{{- end }}

{{- /* What proves to the metrics server who comes, and whom to take for it. */}}
{{- define "shimmy.meterVolume" -}}
- name: meter
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, audience: shimmy-meter, expirationSeconds: 3600}
      # Not there when the operator starts for the first time: it makes the Secret.
      - secret: {name: {{ include "shimmy.meterSecret" . }}, optional: true, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}

{{- define "shimmy.meterMount" -}}
- {name: meter, mountPath: /var/run/shimmy-meter, readOnly: true}
{{- end }}

{{- /* Over zones and nodes, where there are several. */}}
{{- define "shimmy.spread" -}}
{{- $names := . }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  # Pods of a rollout's other side do not count.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels: {{- include "shimmy.selector" $names | nindent 6 }}
{{- end }}
{{- end }}
