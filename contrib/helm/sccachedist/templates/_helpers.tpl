{{- /* What several templates share: names, the configuration files, pods. */ -}}

{{- define "sccachedist.name" -}}
{{- $name := ternary .Release.Name (printf "%s-sccachedist" .Release.Name) (contains "sccachedist" .Release.Name) -}}
{{- trunc 40 $name | trimSuffix "-" -}}
{{- end }}

{{- /* Of a role: the list of the release and the role. */ -}}
{{- define "sccachedist.selector" -}}
app.kubernetes.io/name: sccachedist
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "sccachedist.labels" -}}
{{ include "sccachedist.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "sccachedist.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "sccachedist.name" .) }}
{{- end }}

{{- define "sccachedist.schedulerUrl" -}}
{{- if .Values.scheduler.enabled -}}
http://{{ include "sccachedist.name" . }}-scheduler.{{ .Release.Namespace }}.svc:10600
{{- else -}}
{{ required "scheduler.url: where the scheduler is, which is not enabled here" .Values.scheduler.url }}
{{- end -}}
{{- end }}

{{- /* A table as TOML: values first, then the tables in it. JSON's texts, numbers and lists are TOML's as well. */ -}}
{{- define "sccachedist.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $name := ternary $key (toJson $key) (regexMatch "^[A-Za-z0-9_-]+$" $key) }}
{{- $at := ternary $name (printf "%s.%s" $path $name) (empty $path) }}

[{{ $at }}]
{{- include "sccachedist.toml" (dict "table" $value "path" $at) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The values' own keys go into a table of the chart, before what it says; those that are null go out of it. */ -}}
{{- define "sccachedist.merge" -}}
{{- $table := .table -}}
{{- range $key, $value := .config -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $table $key)) -}}
{{- include "sccachedist.merge" (dict "table" (get $table $key) "config" $value) -}}
{{- else -}}
{{- $_ := set $table $key $value -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The file of a role, whose values are under this name. A secret in the values would be one in a ConfigMap. */ -}}
{{- define "sccachedist.file" -}}
{{- $secrets := list "token" "tokens" "previous_token" "secret_key" "previous_secret_key" "viewer_token" -}}
{{- $secrets = concat $secrets (list "lock_password" "store_secret_key") -}}
{{- range $table, $keys := .config -}}
{{- if kindIs "map" $keys -}}
{{- range $key, $_ := $keys -}}
{{- if has $key $secrets -}}
{{- fail (printf "%s.config.%s.%s: a secret belongs into the Secret, and is named as %s_file" $.values $table $key $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "sccachedist.merge" . -}}
{{- include "sccachedist.toml" (dict "table" .table "path" "") | trim }}
{{- end }}

{{- /* So many eighths of the volume, in bytes: a pod that writes more than its volume has is evicted. */ -}}
{{- define "sccachedist.eighths" -}}
{{ mul (index . 1) (index . 0).storage.gib 134217728 }}
{{- end }}

{{- define "sccachedist.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "sccachedist.name" .root }}-{{ .role }}
  labels: {{- include "sccachedist.labels" (list .root .role) | nindent 4 }}
data:
  {{ .command }}.conf: |
    {{- .file | nindent 4 }}
{{- end }}

{{- define "sccachedist.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "sccachedist.spread" -}}
{{- if .values.topologySpreadConstraints }}
{{- toYaml .values.topologySpreadConstraints }}
{{- else -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "sccachedist.selector" (list .root .role) | nindent 6 }}
{{- end }}
{{- end }}

{{- /*
A pod. What only it knows, its name and its address, comes into its file before it starts. It keeps what it keeps in a
folder of its own in the volume, for the volume itself is one that each user in the pod may write.

  root, role, values  the release, the role's name, and the values of that
  command, file       what the daemon is called, and its configuration
  keys                those of the Secret that it is given
  sandboxes           whether it has any
  address             where its address comes from: a field of the pod, or a list of which its ordinal chooses
  ports               names and numbers
  graceSecs           how long its jobs may take at its end
*/ -}}
{{- define "sccachedist.pod" -}}
{{- $all := .root.Values -}}
metadata:
  labels: {{- include "sccachedist.selector" (list .root .role) | nindent 4 }}
  annotations:
    checksum/configuration: {{ sha256sum .file }}
    {{- with .values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sccachedist.serviceAccount" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  # SIGTERM drains: a build server, a gateway and a worker take no new jobs, and end when theirs have ended. So there is
  # no preStop, whose time would be taken from the same grace.
  terminationGracePeriodSeconds: {{ add .graceSecs 30 }}
  {{- if .sandboxes }}
  hostUsers: {{ $all.sandbox.hostUsers }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10600
    runAsGroup: 10600
    fsGroup: 10600
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      {{- if .sandboxes }}
      type: Localhost
      localhostProfile: {{ $all.sandbox.seccompProfile }}
      {{- else }}
      type: RuntimeDefault
      {{- end }}
  {{- with $all.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints: {{- include "sccachedist.spread" . | nindent 4 }}
  initContainers:
    - name: configuration
      image: {{ include "sccachedist.image" .root }}
      imagePullPolicy: {{ $all.image.pullPolicy }}
      command: [/bin/sh, -ec]
      args:
        - |
          umask 077
          {{- if kindIs "slice" .address }}
          set -- {{ join " " .address }}
          shift "${POD_NAME##*-}"
          ADDRESS=$1
          {{- end }}
          case $ADDRESS in *:*) ADDRESS="[$ADDRESS]" ;; esac
          sed -e "s/@POD_NAME@/$POD_NAME/g" -e "s/@ADDRESS@/$ADDRESS/g" /templates/{{ .command }}.conf \
              >/etc/sccachedist/{{ .command }}.conf
          mkdir -p -m 700 /volume/own
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- if kindIs "string" .address }}
        - name: ADDRESS
          valueFrom: {fieldRef: {fieldPath: {{ .address }}}}
        {{- end }}
      securityContext: {{- include "sccachedist.containerSecurity" . | nindent 8 }}
      resources:
        requests: {cpu: 10m, memory: 16Mi}
        limits: {memory: 64Mi}
      volumeMounts:
        - {name: templates, mountPath: /templates, readOnly: true}
        - {name: configuration, mountPath: /etc/sccachedist}
        - {name: kept, mountPath: /volume}
  containers:
    - name: {{ .role }}
      image: {{ include "sccachedist.image" .root }}
      imagePullPolicy: {{ $all.image.pullPolicy }}
      args: [{{ .command }}, --config, /etc/sccachedist/{{ .command }}.conf]
      securityContext:
        {{- include "sccachedist.containerSecurity" . | nindent 8 }}
        {{- if .sandboxes }}
        procMount: {{ $all.sandbox.procMount }}
        appArmorProfile:
          {{- if eq $all.sandbox.appArmorProfile "Unconfined" }}
          type: Unconfined
          {{- else }}
          type: Localhost
          localhostProfile: {{ $all.sandbox.appArmorProfile }}
          {{- end }}
        {{- end }}
      ports: {{- toYaml .ports | nindent 8 }}
      # It lives as long as it answers. One that drains, or whose scheduler is away, need not be started again.
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 20
        timeoutSeconds: 10
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 5
      resources: {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        - {name: configuration, mountPath: /etc/sccachedist, readOnly: true}
        - {name: secrets, mountPath: /run/secrets/sccachedist, readOnly: true}
        - {name: kept, mountPath: /var/lib/sccachedist, subPath: own}
        {{- if .certificates }}
        - {name: certificates, mountPath: /run/certificates, readOnly: true}
        {{- end }}
  volumes:
    - name: templates
      configMap: {name: {{ include "sccachedist.name" .root }}-{{ .role }}}
    - name: configuration
      emptyDir: {sizeLimit: 1Mi}
    - name: secrets
      secret:
        secretName: {{ required "secrets.name: the Secret with the tokens, which you have made" $all.secrets.name }}
        defaultMode: 0440
        items:
          {{- range concat .keys .values.secretKeys }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    {{- with .certificates }}
    - name: certificates
      configMap: {name: {{ . }}}
    {{- end }}
    {{- if not .values.storage.persistent }}
    - name: kept
      emptyDir: {sizeLimit: {{ .values.storage.gib }}Gi}
    {{- end }}
{{- end }}

{{- define "sccachedist.image" -}}
{{- $no := "the image that contrib/containers/Containerfile builds, in a registry of yours" -}}
{{ required (printf "image.repository: %s" $no) .Values.image.repository }}:{{ required "image.tag: the tag of that image" .Values.image.tag }}
{{- end }}

{{- define "sccachedist.claims" -}}
{{- if .storage.persistent }}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: kept}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storage.className }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ .storage.gib }}Gi}}
{{- end }}
{{- end }}
