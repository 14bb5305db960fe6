//! Which vector instructions the processor has, and how a kernel is compiled for each.
//!
//! A [`Level`] is only made by asking the processor, so holding one is the proof that its
//! instructions are there. Kernels of a level give the same bits on every processor that has it.

/// A set of instructions that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level(Set);

/// The sets, as kernels match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// What every processor has.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same and AVX-512 F, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The widest that this processor has.
    pub fn best() -> Self {
        let mut best = Self(Set::Portable);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            best = Self(Set::Avx2);
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                best = Self(Set::Avx512);
            }
        }
        best
    }

    /// All that this processor has, the widest last.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut sets = vec![Set::Portable];
        #[cfg(target_arch = "x86_64")]
        sets.extend([Set::Avx2, Set::Avx512]);
        let last = sets.iter().position(|&set| Self(set) == Self::best());
        sets.truncate(last.map_or(1, |last| last + 1));
        sets.into_iter().map(Self).collect()
    }

    /// The set to match on.
    pub fn set(self) -> Set {
        self.0
    }
}

/// Compiles a kernel written in plain Rust once for each level; the compiler widens its loops.
///
/// Rust neither reorders nor fuses floating-point operations, so the bits are the same at every
/// level unless the body asks `FUSED` and uses `mul_add`.
macro_rules! for_each_level {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's operands stand side by side")]
        pub(super) fn $name(level: $crate::tensor::cpu::level::Level, $($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn body<const FUSED: bool>($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx2($($arg: $type),*) $(-> $out)? { body::<true>($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx512($($arg: $type),*) $(-> $out)? { body::<true>($($arg),*) }

            match level.set() {
                $crate::tensor::cpu::level::Set::Portable => body::<false>($($arg),*),
                // SAFETY: a level is only made on a processor that has its instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::tensor::cpu::level::Set::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::tensor::cpu::level::Set::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(super) use for_each_level;
