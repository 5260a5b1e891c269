#!/bin/sh
# Runs each fuzz target for some seconds: decoders on a corpus of small files of every format that ffmpeg makes, the rest on a
# few lines of each kind.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]
#
# Finds stay in fuzz/artifacts. Exit code: 0 nothing was found, otherwise that of the target.
# A compiler that instruments is needed, but no nightly one: RUSTC_BOOTSTRAP lets the stable one do it.
set -eu
cd "$(dirname "$0")/../fuzz"
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- fuzz_targets/*.rs

# seed TARGET TEXT...: a file of the corpus for each text, which may have escapes of printf.
seed() {
    mkdir -p "corpus/$1"
    folder=corpus/$1
    shift
    for text; do
        # shellcheck disable=SC2059
        printf "$text" >"$folder/seed-$(printf '%s' "$text" | cksum | cut -d ' ' -f 1)"
    done
}

make_corpus() {
    # Eight bytes of length, one that says how it grows and who asks; Range; If-Range.
    long='\000\000\020\000\000\000\000\000'
    seed range "$long\\021bytes=0-" "$long\\000bytes=44-99,200-299\\n\"e\"" "$long\\031bytes=1048600-" "$long\\024bytes=-500" \
        "$long\\020bytes=0-9007199254740991"
    seed address 'audio.wav\npos=10&to=20&len=star' 'live.pcm\noffset=60' 'studio-a\nat=2026-11-20T14:30:00%%2B01:00' \
        '\nfrom=2025-11-20T14:30:20Z&to=2025-11-20T14:31:00Z' '01932c07-209c-7a3e-8c1f-5d2e9b7a4f10\nstream=a&limit=10&after=x' '\nburst=3'
    seed proof 'Bearer lt_0000' 'Basic ZGo6cGFzcw==' 'Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE5MDAwMDAwMDB9.AAAA' '/streams\nk.2.3.4' \
        'token\nann\n192.0.2.7' \
        'Bearer eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE5MDAwMDAwMDB9.AAAA' 'Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJleHAiOjE5MDAwMDAwMDB9.AAAA' \
        '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"},{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AAAA","e":"AQAB"}]}' \
        'UBasic ZGo6cGFzcw=='
    seed push '\003PUT /a HTTP/1.1\r\nContent-Type: audio/L16;rate=44100;channels=2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n' \
        '\020SOURCE /a ICE/1.0\r\nice-name: x\r\n\r\nabc' '\001ICY 200 OK\r\nicy-metaint: 5\r\nContent-Length: 3\r\n\r\nabc' \
        '\007GET /admin/metadata?mode=updinfo&mount=/a&song=%%C3%%A4 HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n'
    seed files '\004\000\000{"type":"anchor","frame":10,"time":"2025-11-20T14:30:01Z"}\n{"type":"mark","frame":5,"text":"x"}' \
        '\010\000\000{"type":"gap","at":100,"lost":5,"from":"2025-11-20T14:30:00Z","to":"2025-11-20T14:30:01Z","reason":"xrun"}' \
        '\007\040\000\144\000\000\000\000\000\000\000' '\027\020\000\001' '\003\000\000' '\002\000\000{"format":1}'
    seed playlists '#EXTM3U\r\n#EXTINF:1,x\r\na b.mp3\r\nhttp://radio.example/live.mp3\r\n' '#EXTM3U\n#EXT-X-TARGETDURATION:6\na.ts\n' \
        '[playlist]\nFile2=//radio.example/b.ogg\nfile1=../a%%20b.ogg\nTitle1=x\nNumberOfEntries=2\n' '\357\273\277file:///tmp/a%%2eflac\nK\344se.mp3' \
        '<?xml version="1.0"?><playlist xmlns="http://xspf.org/ns/0/"><trackList><track><location>https://u:p@a/b&amp;&#x2e;c</location></track></trackList></playlist>' \
        '<!DOCTYPE x [<!ENTITY a "b">]><trackList><track><location><![CDATA[a]]>&a;</location><location/></track></trackList>'
    # Open, and an Append after it: field numbers and lengths as in ingest.proto.
    seed messages '\043\000\012\041\012\001a\022\001b\032\020aaaaaaaaaaaaaaaa\042\007\010\001\020\300\076\030\001\010\000\022\006\010\001\042\002aa'
    [ ! -d corpus/decode ] || return 0
    mkdir -p corpus/decode
    for kind in wav:pcm_s16le wav:pcm_f32le wav:adpcm_ms wav:pcm_mulaw aiff:pcm_s24be caf:alac caf:pcm_s16le flac:flac \
        oga:flac m4a:alac m4a:aac mp4:libopus ogg:libvorbis opus:libopus mp3:libmp3lame mp2:mp2 adts:aac mka:libvorbis webm:libopus; do
        name=${kind%%:*}
        ffmpeg -nostdin -v error -y -f lavfi -i 'sine=440:duration=0.15' -ac 2 -ar 48000 -metadata title=Title -metadata artist=Artist \
            -c:a "${kind#*:}" -f "$(format "$name")" "corpus/decode/seed-${kind#*:}.$name"
    done
    # Channels for loudspeakers that are named, in each way that there is.
    for kind in wav:pcm_s16le caf:pcm_s16le caf:alac m4a:alac flac:flac ogg:libvorbis; do
        name=${kind%%:*}
        ffmpeg -nostdin -v error -y -f lavfi -i 'sine=440:duration=0.05' -af aformat=channel_layouts=4.0 -ar 48000 \
            -c:a "${kind#*:}" -f "$(format "$name")" "corpus/decode/seed-four-${kind#*:}.$name"
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
for name; do
    name=$(basename "$name" .rs)
    mkdir -p "artifacts/$name" "corpus/$name"
    [ "$name" = decode ] && longest=65536 || longest=4096
    "target/$target/release/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len="$longest" \
        -print_final_stats=1 -artifact_prefix="artifacts/$name/" "corpus/$name"
done
