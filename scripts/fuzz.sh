#!/bin/sh
# Runs each fuzz target for some seconds, on a corpus of small files of every format that ffmpeg makes.
#
#   scripts/fuzz.sh [SECONDS]
#
# Finds stay in fuzz/artifacts. Exit code: 0 nothing was found, otherwise that of the target.
# A compiler that instruments is needed, but no nightly one: RUSTC_BOOTSTRAP lets the stable one do it.
set -eu
cd "$(dirname "$0")/../fuzz"
seconds=${1:-60}

make_corpus() {
    [ ! -d corpus/decode ] || return 0
    mkdir -p corpus/decode
    for kind in wav:pcm_s16le wav:pcm_f32le wav:adpcm_ms wav:pcm_mulaw aiff:pcm_s24be caf:alac caf:pcm_s16le flac:flac \
        oga:flac m4a:alac m4a:aac mp4:libopus ogg:libvorbis opus:libopus mp3:libmp3lame mp2:mp2 adts:aac mka:libvorbis webm:libopus; do
        name=${kind%%:*}
        ffmpeg -nostdin -v error -y -f lavfi -i 'sine=440:duration=0.15' -ac 2 -ar 48000 -metadata title=Title -metadata artist=Artist \
            -c:a "${kind#*:}" -f "$(format "$name")" "corpus/decode/seed-${kind#*:}.$name"
    done
}

# ffmpeg's word for a container.
format() {
    case $1 in
    m4a) echo ipod ;;
    oga) echo ogg ;;
    mka) echo matroska ;;
    *) echo "$1" ;;
    esac
}

make_corpus
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions --cfg fuzzing" \
    cargo build --release --target "$target"
for name in fuzz_targets/*.rs; do
    name=$(basename "$name" .rs)
    mkdir -p "artifacts/$name"
    "target/$target/release/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="artifacts/$name/" "corpus/$name"
done
