//! The class of this machine's processor, as far as it decides what encoders make: their arithmetic is rounded otherwise by
//! other instructions.

/// A short word, the same on all machines whose encoders make the same bytes.
pub fn class() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        // The resampler asks for AVX and FMA, libopus for AVX2 besides, both otherwise for SSE 4.1.
        let has_avx = std::is_x86_feature_detected!("avx") && std::is_x86_feature_detected!("fma");
        let has_avx2 = has_avx && std::is_x86_feature_detected!("avx2");
        match (has_avx2, has_avx, std::is_x86_feature_detected!("sse4.1")) {
            _ if std::is_x86_feature_detected!("avx512f") => "x64-avx512",
            (true, ..) => "x64-avx2",
            (_, true, _) => "x64-avx",
            (_, _, true) => "x64-sse4",
            _ => "x64",
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}
