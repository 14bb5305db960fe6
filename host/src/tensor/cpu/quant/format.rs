//! GGUF's quantised types: how 32 numbers and their scales come out of a block.
//!
//! A number of group `g` is `scale · q + offset`, where `q` is a whole number from -128 to 127.
//! The layouts are those of llama.cpp's `ggml-common.h`; blocks are plain bytes, so they may
//! lie at any address.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

use super::super::dense::half_to_float;
#[cfg(target_arch = "x86_64")]
use super::vector;

/// The scales of a block's groups: of each group's first and second half, and what is added.
pub struct Scales<const GROUPS: usize> {
    pub halves: [[f32; 2]; GROUPS],
    pub offsets: [f32; GROUPS],
}

/// A quantised type.
pub trait Format: 'static {
    /// The bytes of a block.
    type Block: Copy + Send + Sync;
    /// Groups of 32 numbers in a block, at most eight.
    const GROUPS: usize;
    /// Whether there are offsets.
    const OFFSETS: bool;

    /// What is taken from the numbers of [`Format::vector`].
    const BIAS: u8;
    /// Whether a group's halves have scales of their own.
    const HALVES: bool;

    /// The scales, of as many groups as there are.
    fn scales<H: Half>(block: &Self::Block) -> Scales<8>;

    /// The whole numbers of a group.
    fn numbers(block: &Self::Block, group: usize) -> [i8; 32];

    /// The same in a vector, plus [`Format::BIAS`], so that none is below zero.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn vector(block: &Self::Block, group: usize) -> __m256i;
}

/// How half-precision numbers are converted; every way gives the same.
pub trait Half {
    fn float(bits: u16) -> f32;
}

/// In plain arithmetic.
pub struct Plain;

impl Half for Plain {
    #[inline(always)]
    fn float(bits: u16) -> f32 {
        half_to_float(bits)
    }
}

#[inline(always)]
fn half<H: Half>(block: &[u8], at: usize) -> f32 {
    H::float(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// The scales of a block of one group.
#[inline(always)]
fn one(scale: f32, offset: f32) -> Scales<8> {
    let mut scales = Scales {
        halves: [[0.0; 2]; 8],
        offsets: [0.0; 8],
    };
    scales.halves[0] = [scale; 2];
    scales.offsets[0] = offset;
    scales
}

/// Sixteen bytes' lower halves, then their upper halves.
#[inline(always)]
fn nibbles(bytes: &[u8]) -> [i8; 32] {
    let mut all = [0; 32];
    for i in 0..16 {
        all[i] = (bytes[i] & 15) as i8;
        all[i + 16] = (bytes[i] >> 4) as i8;
    }
    all
}

/// Adds the fifth bits, which stand in one 32-bit number.
#[inline(always)]
fn fifths(bits: &[u8], mut numbers: [i8; 32]) -> [i8; 32] {
    for (i, number) in numbers.iter_mut().enumerate() {
        *number |= ((bits[i / 8] >> (i % 8) & 1) << 4) as i8;
    }
    numbers
}

#[inline(always)]
fn minus(numbers: [i8; 32], by: i8) -> [i8; 32] {
    numbers.map(|number| number - by)
}

/// `[scale 2][numbers 32]`.
pub struct Q8_0;

impl Format for Q8_0 {
    type Block = [u8; 34];
    const GROUPS: usize = 1;
    const OFFSETS: bool = false;
    const BIAS: u8 = 128;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        one(half::<H>(block, 0), 0.0)
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, _: usize) -> [i8; 32] {
        let mut all = [0; 32];
        for (number, byte) in all.iter_mut().zip(&block[2..]) {
            *number = *byte as i8;
        }
        all
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, _: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { vector::from_signed(block, 2) }
    }
}

/// `[scale 2][nibbles 16]`.
pub struct Q4_0;

impl Format for Q4_0 {
    type Block = [u8; 18];
    const GROUPS: usize = 1;
    const OFFSETS: bool = false;
    const BIAS: u8 = 8;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        one(half::<H>(block, 0), 0.0)
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, _: usize) -> [i8; 32] {
        minus(nibbles(&block[2..]), 8)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, _: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { vector::nibbles(block, 2) }
    }
}

/// `[scale 2][offset 2][nibbles 16]`.
pub struct Q4_1;

impl Format for Q4_1 {
    type Block = [u8; 20];
    const GROUPS: usize = 1;
    const OFFSETS: bool = true;
    const BIAS: u8 = 0;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        one(half::<H>(block, 0), half::<H>(block, 2))
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, _: usize) -> [i8; 32] {
        nibbles(&block[4..])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, _: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { vector::nibbles(block, 4) }
    }
}

/// `[scale 2][fifth bits 4][nibbles 16]`.
pub struct Q5_0;

impl Format for Q5_0 {
    type Block = [u8; 22];
    const GROUPS: usize = 1;
    const OFFSETS: bool = false;
    const BIAS: u8 = 16;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        one(half::<H>(block, 0), 0.0)
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, _: usize) -> [i8; 32] {
        minus(fifths(&block[2..6], nibbles(&block[6..])), 16)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, _: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { vector::or(vector::nibbles(block, 6), vector::fifths(block, 2)) }
    }
}

/// `[scale 2][offset 2][fifth bits 4][nibbles 16]`.
pub struct Q5_1;

impl Format for Q5_1 {
    type Block = [u8; 24];
    const GROUPS: usize = 1;
    const OFFSETS: bool = true;
    const BIAS: u8 = 0;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        one(half::<H>(block, 0), half::<H>(block, 2))
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, _: usize) -> [i8; 32] {
        fifths(&block[4..8], nibbles(&block[8..]))
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, _: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { vector::or(vector::nibbles(block, 8), vector::fifths(block, 4)) }
    }
}

/// The scales that `Q4_K` and `Q5_K` share: `[scale 2][offset 2][six bits for each, packed 12]`.
#[inline(always)]
fn packed_scales<H: Half>(block: &[u8]) -> Scales<8> {
    let (scale, offset) = (half::<H>(block, 0), half::<H>(block, 2));
    let word =
        |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let (a, b, c) = (word(4), word(8), word(12));
    // The first four of each stand in six bits of a byte; of the last four, the lower four
    // bits share a byte and the upper two are in the top of the first four's.
    let scales = [
        a & 0x3f3f_3f3f,
        (c & 0x0f0f_0f0f) | ((a >> 6 & 0x0303_0303) << 4),
    ];
    let offsets = [
        b & 0x3f3f_3f3f,
        (c >> 4 & 0x0f0f_0f0f) | ((b >> 6 & 0x0303_0303) << 4),
    ];
    let mut all = Scales {
        halves: [[0.0; 2]; 8],
        offsets: [0.0; 8],
    };
    for group in 0..8 {
        let byte = |words: [u32; 2]| (words[group / 4] >> (8 * (group % 4)) & 255) as f32;
        all.halves[group] = [scale * byte(scales); 2];
        all.offsets[group] = -(offset * byte(offsets));
    }
    all
}

/// `[scales 16][nibbles 128]`: 32 bytes hold one group in their lower halves and the next in
/// their upper halves.
pub struct Q4K;

impl Format for Q4K {
    type Block = [u8; 144];
    const GROUPS: usize = 8;
    const OFFSETS: bool = true;
    const BIAS: u8 = 0;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        packed_scales::<H>(block)
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, group: usize) -> [i8; 32] {
        let bytes = &block[16 + 32 * (group / 2)..][..32];
        let shift = 4 * (group % 2);
        let mut all = [0; 32];
        for i in 0..32 {
            all[i] = (bytes[i] >> shift & 15) as i8;
        }
        all
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, group: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { vector::halves(block, 16 + 32 * (group / 2), group % 2 == 1) }
    }
}

/// `[scales 16][fifth bits 32][nibbles 128]`: bit `g` of a byte of fifth bits is group `g`'s.
pub struct Q5K;

impl Format for Q5K {
    type Block = [u8; 176];
    const GROUPS: usize = 8;
    const OFFSETS: bool = true;
    const BIAS: u8 = 0;
    const HALVES: bool = false;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        packed_scales::<H>(block)
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, group: usize) -> [i8; 32] {
        let fifth = &block[16..48];
        let bytes = &block[48 + 32 * (group / 2)..][..32];
        let shift = 4 * (group % 2);
        let mut all = [0; 32];
        for i in 0..32 {
            all[i] = ((bytes[i] >> shift & 15) | ((fifth[i] >> group & 1) << 4)) as i8;
        }
        all
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, group: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe {
            let fifths = vector::fifths_of(block, 16, group);
            let numbers = vector::halves(block, 48 + 32 * (group / 2), group % 2 == 1);
            vector::or(numbers, fifths)
        }
    }
}

/// `[nibbles 128][upper bits 64][scales 16][scale 2]`, in two halves of 128 numbers.
pub struct Q6K;

impl Format for Q6K {
    type Block = [u8; 210];
    const GROUPS: usize = 8;
    const OFFSETS: bool = false;
    const BIAS: u8 = 32;
    const HALVES: bool = true;

    #[inline(always)]
    fn scales<H: Half>(block: &Self::Block) -> Scales<8> {
        let scale = half::<H>(block, 208);
        let mut all = [0.0; 16];
        for (all, &byte) in all.iter_mut().zip(&block[192..208]) {
            *all = scale * f32::from(byte as i8);
        }
        let mut halves = [[0.0; 2]; 8];
        halves.as_flattened_mut().copy_from_slice(&all);
        Scales {
            halves,
            offsets: [0.0; 8],
        }
    }

    #[inline(always)]
    fn numbers(block: &Self::Block, group: usize) -> [i8; 32] {
        let (side, part) = (group / 4, group % 4);
        let bytes = &block[64 * side + 32 * (part % 2)..][..32];
        let upper = &block[128 + 32 * side..][..32];
        let (shift, upper_shift) = (4 * (part / 2), 2 * part);
        let mut all = [0; 32];
        for i in 0..32 {
            let number = (bytes[i] >> shift & 15) | ((upper[i] >> upper_shift & 3) << 4);
            all[i] = number as i8 - 32;
        }
        all
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn vector(block: &Self::Block, group: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe {
            let (side, part) = (group / 4, group % 4);
            let numbers = vector::halves(block, 64 * side + 32 * (part % 2), part >= 2);
            let upper = vector::sixths_of(block, 128 + 32 * side, part);
            vector::or(numbers, upper)
        }
    }
}
