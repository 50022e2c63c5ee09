#!/bin/bash
# link.sh FOLDER PROGRAM: links what `swift build --target Fuzz` left in FOLDER, built with -sanitize=fuzzer, with libFuzzer.
set -euo pipefail
find "$1/debug/" -name '*.o' -path '*.build/*' ! -path '*/FuzzRunner*' > "$2.objects"
swiftc -sanitize=fuzzer -o "$2" $(cat "$2.objects") $(pkg-config --libs libffi) -lstdc++ -lm
