//! A group's whole numbers in one vector: what `format` says in plain loops, in AVX2.
//!
//! The compiler does not find these by itself, and everything waits for them.

use std::arch::x86_64::*;

/// The 32 bytes at `at`.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(block: &[u8], at: usize) -> __m256i {
    let bytes: &[u8; 32] = block[at..at + 32].as_array().expect("it has 32 bytes");
    // SAFETY: 32 bytes are there, at any address.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Each byte's lower half, or its upper.
#[inline]
#[target_feature(enable = "avx2")]
fn half(bytes: __m256i, upper: bool) -> __m256i {
    let bytes = if upper {
        _mm256_srli_epi16::<4>(bytes)
    } else {
        bytes
    };
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

/// The 32 signed bytes at `at`, each plus 128.
#[inline]
#[target_feature(enable = "avx2")]
pub fn from_signed(block: &[u8], at: usize) -> __m256i {
    _mm256_xor_si256(bytes(block, at), _mm256_set1_epi8(-128))
}

/// The lower halves of the 16 bytes at `at`, then their upper halves.
#[inline]
#[target_feature(enable = "avx2")]
pub fn nibbles(block: &[u8], at: usize) -> __m256i {
    let bytes: &[u8; 16] = block[at..at + 16].as_array().expect("it has 16 bytes");
    // SAFETY: 16 bytes are there, at any address.
    let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

/// One half of each of the 32 bytes at `at`.
#[inline]
#[target_feature(enable = "avx2")]
pub fn halves(block: &[u8], at: usize, upper: bool) -> __m256i {
    half(bytes(block, at), upper)
}

/// The 32 bits at `at` as fifth bits: 16 where a bit is set.
#[inline]
#[target_feature(enable = "avx2")]
pub fn fifths(block: &[u8], at: usize) -> __m256i {
    let bits: &[u8; 4] = block[at..at + 4].as_array().expect("it has 4 bytes");
    // Each of the four bytes eight times, then in each its own bit.
    let all = _mm256_set1_epi32(i32::from_le_bytes(*bits));
    let spread = _mm256_set_epi64x(
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0,
    );
    let one = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    let own = _mm256_and_si256(_mm256_shuffle_epi8(all, spread), one);
    _mm256_and_si256(_mm256_cmpeq_epi8(own, one), _mm256_set1_epi8(16))
}

/// Bit `bit` of each of the 32 bytes at `at` as a fifth bit.
#[inline]
#[target_feature(enable = "avx2")]
pub fn fifths_of(block: &[u8], at: usize, bit: usize) -> __m256i {
    let one = _mm256_set1_epi8((1u8 << (bit % 8)) as i8);
    let own = _mm256_and_si256(bytes(block, at), one);
    _mm256_and_si256(_mm256_cmpeq_epi8(own, one), _mm256_set1_epi8(16))
}

/// Bits `2 · pair` and the next of each of the 32 bytes at `at`, as fifth and sixth bits.
#[inline]
#[target_feature(enable = "avx2")]
pub fn sixths_of(block: &[u8], at: usize, pair: usize) -> __m256i {
    let bytes = bytes(block, at);
    let moved = match pair {
        0 => _mm256_slli_epi16::<4>(bytes),
        1 => _mm256_slli_epi16::<2>(bytes),
        2 => bytes,
        _ => _mm256_srli_epi16::<2>(bytes),
    };
    _mm256_and_si256(moved, _mm256_set1_epi8(0x30))
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn or(a: __m256i, b: __m256i) -> __m256i {
    _mm256_or_si256(a, b)
}

/// Half-precision numbers as the processor converts them.
pub struct Native;

impl super::format::Half for Native {
    #[inline(always)]
    fn float(bits: u16) -> f32 {
        // SAFETY: only kernels of levels with F16C name this type.
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
    }
}
