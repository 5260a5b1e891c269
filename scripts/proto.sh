#!/bin/sh
# Looks at proto/, the contract with other people's programs. Needs what scripts/setup.sh check installs.
#
#   scripts/proto.sh check      style, layout, and that a program made from the baseline still works
#   scripts/proto.sh baseline   makes proto/ as it is now the baseline: with each release, and never for another reason
#
# The baseline, proto/baseline.binpb, is the compiled contract of the last release (a FileDescriptorSet).
# Exit code: 0 all is well, 1 it is not, 2 wrong use.
set -eu
cd "$(dirname "$0")/.."

BUF=target/tools/bin/buf
BASELINE=proto/baseline.binpb

case ${1-} in
check)
    $BUF lint || exit 1
    $BUF format --diff --exit-code || {
        echo 'proto: the layout differs, as shown: buf format --write' >&2
        exit 1
    }
    $BUF breaking --against $BASELINE || {
        echo 'proto: programs that were made from the last release would break. Add, and let what is there be: new fields, new' >&2
        echo 'methods, new values. What cannot be added has to become livetape.v2, beside livetape.v1.' >&2
        exit 1
    }
    ;;
baseline)
    $BUF lint
    [ ! -e $BASELINE ] || $BUF breaking --against $BASELINE || echo 'proto: this breaks programs, as shown; it is the baseline now all the same' >&2
    # Without comments and places in files: it changes when the contract does.
    $BUF build --exclude-source-info --output $BASELINE
    ;;
*)
    printf 'usage: %s check|baseline\n' "$0" >&2
    exit 2
    ;;
esac
