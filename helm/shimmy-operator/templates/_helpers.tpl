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
