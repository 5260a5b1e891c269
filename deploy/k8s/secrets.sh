#!/bin/sh
# Makes, in a new folder, what the Secrets of deploy/k8s/secured are made of: an authority of its own with certificates for the recorder
# and for the address of pushed sources, a token for gateways, one for captures, one for whoever operates it, and the access file
# that knows them. Where a cluster has its own authority (cert-manager), take its certificates instead.
#
#   deploy/k8s/secrets.sh FOLDER      then docs/kubernetes.md
#
# Needs openssl, and livetape on the PATH (or LIVETAPE=/path/to/livetape).
set -eu
umask 077
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
livetape=$(command -v "${LIVETAPE:-livetape}") || { echo "$0: there is no ${LIVETAPE:-livetape}: say where with LIVETAPE=" >&2; exit 1; }
# It is used in the new folder.
livetape=$(realpath "$livetape")
mkdir "$1"
cd "$1"

quietly() { "$@" >log 2>&1 || { cat log >&2; exit 1; }; }

# The keys' kind is one that every client knows.
quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=livetape \
    -keyout ca.key -out ca.crt
for name in recorder sources; do
    mkdir $name
    quietly openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" -keyout $name/tls.key -out $name/request
    # localhost: through kubectl port-forward.
    printf 'subjectAltName=DNS:%s,DNS:%s.livetape,DNS:%s.livetape.svc,DNS:%s.livetape.svc.cluster.local,DNS:localhost\nextendedKeyUsage=serverAuth\n' \
        $name $name $name $name >$name/extensions
    quietly openssl x509 -req -in $name/request -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 -extfile $name/extensions -out $name/tls.crt
    cp ca.crt $name/ca.crt
    rm $name/request $name/extensions
done

token() {
    "$livetape" token new --name "$1" --grant "$2" --out "$1.token" >>access.toml
    echo >>access.toml
}
token gateway 'listen,export,manage:*'
token capture 'publish:*'
token operator 'publish,listen,export,manage:*'
rm log
echo "made in $1: keep ca.key and operator.token, the rest goes into Secrets"
