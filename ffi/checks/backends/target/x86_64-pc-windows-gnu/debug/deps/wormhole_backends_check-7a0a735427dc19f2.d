/work/main/ffi/checks/backends/target/x86_64-pc-windows-gnu/debug/deps/wormhole_backends_check-7a0a735427dc19f2.d: src/lib.rs src/../../../src/io/backend/mod.rs src/../../../src/io/backend/plain.rs src/../../../src/io/backend/select.rs src/../../../src/io/backend/windows.rs Cargo.toml

/work/main/ffi/checks/backends/target/x86_64-pc-windows-gnu/debug/deps/libwormhole_backends_check-7a0a735427dc19f2.rmeta: src/lib.rs src/../../../src/io/backend/mod.rs src/../../../src/io/backend/plain.rs src/../../../src/io/backend/select.rs src/../../../src/io/backend/windows.rs Cargo.toml

src/lib.rs:
src/../../../src/io/backend/mod.rs:
src/../../../src/io/backend/plain.rs:
src/../../../src/io/backend/select.rs:
src/../../../src/io/backend/windows.rs:
Cargo.toml:

# env-dep:CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
# env-dep:CLIPPY_CONF_DIR
