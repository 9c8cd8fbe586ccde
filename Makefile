# The verbs of the project. Each is one line; `make serve` and `make test` need only git, make, a C compiler and rustup.
.PHONY: serve test build plugins cli install clean lint bench fuzz

WASM_TARGET := wasm32-unknown-unknown
HOST ?= 127.0.0.1
PORT ?= 1500

serve: target-installed ; cargo run --release --locked --bin hsm -- serve --host $(HOST) --port $(PORT)
test: target-installed ; cargo test --release --locked --workspace
build: target-installed ; cargo build --release --locked
plugins: ; cargo build --locked -p hsm-plugins --bins --target $(WASM_TARGET) --profile guest
cli: target-installed ; cargo build --release --locked --bin hsm
install: target-installed ; cargo install --locked --path hsm-cli
bench: target-installed ; cargo bench --locked --workspace --bench engine --bench crypto
lint: target-installed ; cargo fmt --all --check && cargo clippy --release --locked --workspace --all-targets -- -D warnings
fuzz: ; cd fuzz && cargo test --locked
clean: ; cargo clean

.PHONY: target-installed
target-installed: ; @rustc --print target-libdir --target $(WASM_TARGET) | xargs test -d || rustup target add $(WASM_TARGET)
