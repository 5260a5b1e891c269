//! The class of this machine's processor, as far as it decides what encoders make: their arithmetic is rounded otherwise by
//! other instructions.

/// A short word, the same on all machines whose encoders make the same bytes.
pub fn class() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let has_avx2 = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
        let has_avx512 = std::is_x86_feature_detected!("avx512f");
        match (has_avx512, has_avx2, std::is_x86_feature_detected!("sse4.1")) {
            (true, ..) => "x64-avx512",
            (_, true, _) => "x64-avx2",
            (_, _, true) => "x64-sse4",
            _ => "x64",
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}
