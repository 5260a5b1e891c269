#!/usr/bin/env bash
# Looks at the Kubernetes manifests without a cluster: every overlay is rendered, and held against the schemas of Kubernetes,
# strictly, and against each other (manifests.py); then manifests that are wrong on purpose have to be refused, so that the checks are
# known to see something.
#
# Needs what scripts/setup.sh check installs. Exit code: 0 all is right.
set -euo pipefail
cd "$(dirname "$0")/.."

VALIDATE=target/tools/kubernetes/bin/kubernetes-validate
PYTHON=target/tools/kubernetes/bin/python
# The oldest that is still looked after by its makers, and a newest that the schemas know.
VERSIONS=(1.32 1.35)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

valid() { "$VALIDATE" --strict --quiet -k "$1" "$2" >"$out/said" 2>&1; }

for overlay in deploy/k8s/overlays/*/; do
    name=$(basename "$overlay")
    kubectl kustomize "$overlay" >"$out/$name.yaml" 2>"$out/said" || { cat "$out/said" >&2; exit 1; }
    for version in "${VERSIONS[@]}"; do
        valid "$version" "$out/$name.yaml" || { cat "$out/said" >&2; exit 1; }
    done
    printf 'k8s: %s: %d objects\n' "$name" "$(grep -c '^kind:' "$out/$name.yaml")"
    # The docs show what there is.
    "$PYTHON" scripts/manifests.py --objects "$out/$name.yaml" >"$out/objects"
    awk -v name="$name" '$0 == "Objects of `" name "`:" { there = 1 } there && /^```$/ { exit } there && inside; there && /^```text$/ { inside = 1 }' \
        docs/kubernetes.md | diff "$out/objects" - || { echo "k8s: docs/kubernetes.md shows other objects of $name (>)" >&2; exit 1; }
    # What one object names exists in another, and every pod fits the restricted profile.
    "$PYTHON" scripts/manifests.py "$out/$name.yaml" || { echo "k8s: $name: see above" >&2; exit 1; }
done

# wrong WHAT SED: the rendered overlay with one thing wrong must not pass.
wrong() {
    sed "$2" "$out/production.yaml" >"$out/wrong.yaml"
    ! cmp -s "$out/production.yaml" "$out/wrong.yaml" || { echo "k8s: '$1' changed nothing: $2" >&2; exit 1; }
    ! valid "${VERSIONS[0]}" "$out/wrong.yaml" || { echo "k8s: $1 was not seen" >&2; exit 1; }
}
wrong 'a word that does not exist' 's/readinessProbe:/readynessProbe:/'
wrong 'a number that is a word' 's/maxReplicas: 10/maxReplicas: many/'
wrong 'a list that is a word' 's/accessModes:$/accessModes: ReadWriteOnce/;/- ReadWriteOnce/d'
wrong 'a field in the wrong place' 's/^  serviceName: recorder/  serviceNames: recorder/'
PYTHONDONTWRITEBYTECODE=1 "$PYTHON" scripts/manifests_wrong.py "$out/production.yaml"
echo "k8s: valid for ${VERSIONS[*]}; what is wrong on purpose is refused"
