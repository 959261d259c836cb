/work/main/ffi/checks/backends/target/aarch64-apple-darwin/debug/deps/wormhole_backends_check-af8f95551724c23b.d: src/lib.rs src/../../../src/io/backend/mod.rs src/../../../src/io/backend/macos.rs src/../../../src/io/backend/plain.rs src/../../../src/io/backend/select.rs src/../../../src/io/backend/unix.rs Cargo.toml

/work/main/ffi/checks/backends/target/aarch64-apple-darwin/debug/deps/libwormhole_backends_check-af8f95551724c23b.rmeta: src/lib.rs src/../../../src/io/backend/mod.rs src/../../../src/io/backend/macos.rs src/../../../src/io/backend/plain.rs src/../../../src/io/backend/select.rs src/../../../src/io/backend/unix.rs Cargo.toml

src/lib.rs:
src/../../../src/io/backend/mod.rs:
src/../../../src/io/backend/macos.rs:
src/../../../src/io/backend/plain.rs:
src/../../../src/io/backend/select.rs:
src/../../../src/io/backend/unix.rs:
Cargo.toml:

# env-dep:CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
# env-dep:CLIPPY_CONF_DIR
