/work/main/ffi/checks/backends/target/x86_64-pc-windows-gnu/debug/deps/windows_link-7b1b9701c89be3dc.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/windows-link-0.2.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/windows-link-0.2.1/src/../readme.md

/work/main/ffi/checks/backends/target/x86_64-pc-windows-gnu/debug/deps/libwindows_link-7b1b9701c89be3dc.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/windows-link-0.2.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/windows-link-0.2.1/src/../readme.md

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/windows-link-0.2.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/windows-link-0.2.1/src/../readme.md:
