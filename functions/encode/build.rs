//! With the feature `x264`, compiles the few C functions that fill in x264's parameters, against the libx264
//! that is installed.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "x264")]
    x264();
}

#[cfg(feature = "x264")]
fn x264() {
    const SHIM: &str = "src/h264/x264.c";
    println!("cargo:rerun-if-changed={SHIM}");
    let library = pkg_config::Config::new().atleast_version("0.155").cargo_metadata(false).probe("x264");
    let library = library.unwrap_or_else(|error| {
        panic!("the feature x264 needs libx264 and its headers (Debian: libx264-dev): {error}")
    });
    cc::Build::new()
        .file(SHIM)
        .includes(&library.include_paths)
        .warnings_into_errors(true)
        .compile("teiten_x264");
    // After the functions that need it.
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for name in &library.libs {
        println!("cargo:rustc-link-lib={name}");
    }
}
