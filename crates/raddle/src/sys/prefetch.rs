//! Prefetch hints, which affect speed only.
#![allow(unsafe_code)]

/// Prefetches two cache lines from `address`.
#[inline]
pub(crate) fn prefetch(address: *const ()) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = address.cast::<i8>();
        // SAFETY: nothing is read: for an address that is not mapped, the hint is ignored.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(address);
            _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(64));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Prefetches the cache line at `address` for writing.
#[inline]
pub(crate) fn prefetch_to_write(address: *const ()) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: nothing is read or written: for an address that is not mapped, the hint is ignored. All processors of the
    // architecture know the instruction, if only as one that does nothing.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
