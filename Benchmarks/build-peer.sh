#!/usr/bin/env bash
# Builds llama.cpp's command-line tools, the peer of `make bench`, from the pinned PyPI package that carries its source, into a cache.
# Prints the folder of the built tools as its last line; exits 3, with the reason, when it cannot be had.
set -euo pipefail
PACKAGE=llama-cpp-python VERSION=0.3.36
SHA256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
CACHE="${BATON_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/baton/bench}/llama.cpp-$VERSION"
TOOLS="llama-bench llama-batched-bench llama-completion llama-quantize llama-server"

missing() { echo "llama.cpp is left out: $1" >&2; exit 3; }
built() { for tool in $TOOLS; do [ -x "$CACHE/build/bin/$tool" ] || return 1; done; }

if ! built; then
  mkdir -p "$CACHE"
  command -v g++ >/dev/null || missing "no g++; install it with: apt-get install g++"
  if [ ! -x "$CACHE/tools/bin/cmake" ]; then
    python3 -m venv "$CACHE/tools" >&2 || missing "no Python venv; install it with: apt-get install python3-venv"
    "$CACHE/tools/bin/pip" install -q cmake ninja >&2 || missing "cmake could not be installed from PyPI"
  fi
  archive="$CACHE/llama_cpp_python-$VERSION.tar.gz"
  if [ ! -f "$archive" ]; then
    echo "fetching $PACKAGE $VERSION" >&2
    "$CACHE/tools/bin/pip" download -q --no-deps --no-binary "$PACKAGE" -d "$CACHE" "$PACKAGE==$VERSION" >&2 || missing "$PACKAGE $VERSION could not be fetched from PyPI"
  fi
  echo "$SHA256  $archive" | sha256sum --check --status || missing "$archive has another sha256 than $SHA256; remove it"
  source="$CACHE/llama_cpp_python-$VERSION/vendor/llama.cpp"
  [ -d "$source" ] || tar xzf "$archive" -C "$CACHE"
  echo "building llama.cpp (minutes)" >&2
  PATH="$CACHE/tools/bin:$PATH" cmake -S "$source" -B "$CACHE/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF >"$CACHE/cmake.log" 2>&1 || missing "cmake failed; see $CACHE/cmake.log"
  # shellcheck disable=SC2086
  PATH="$CACHE/tools/bin:$PATH" cmake --build "$CACHE/build" --target $TOOLS >"$CACHE/build.log" 2>&1 || missing "the build failed; see $CACHE/build.log"
fi
echo "$CACHE/build/bin"
