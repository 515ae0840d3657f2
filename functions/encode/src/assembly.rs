//! Asserts at link time that the codecs were built with their assembly.
//!
//! A build without nasm leaves OpenH264's assembly out without a word and makes it half as fast. These statics
//! name assembly routines, so that such a build does not link: if the linker sent you here with an undefined
//! `WelsSampleSad16x16_…`, install nasm (2.10 or later) and run `cargo clean -p openh264-sys2`. The same goes for
//! libjpeg-turbo (`jsimd_…`, `cargo clean -p turbojpeg-sys`), though its build complains by itself.

#[cfg(target_arch = "x86_64")]
mod symbols {
    unsafe extern "C" {
        fn WelsSampleSad16x16_sse2();
        fn jsimd_idct_islow_avx2();
    }

    #[used]
    static OPENH264: unsafe extern "C" fn() = WelsSampleSad16x16_sse2;
    #[used]
    static LIBJPEG_TURBO: unsafe extern "C" fn() = jsimd_idct_islow_avx2;
}
#[cfg(target_arch = "aarch64")]
mod symbols {
    unsafe extern "C" {
        fn WelsSampleSad16x16_AArch64_neon();
        fn jsimd_idct_islow_neon();
    }

    #[used]
    static OPENH264: unsafe extern "C" fn() = WelsSampleSad16x16_AArch64_neon;
    #[used]
    static LIBJPEG_TURBO: unsafe extern "C" fn() = jsimd_idct_islow_neon;
}
