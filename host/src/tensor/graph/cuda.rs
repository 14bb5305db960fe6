//! Opening a CUDA device, and what it says of its memory.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, result, sys};

use super::super::Memory;

/// What candle opens when a device is made, each under some of the names by which cudarc looks
/// for it.
#[cfg(unix)]
const LIBRARIES: [(&str, &[&str]); 4] = [
    ("libcuda", &["libcuda.so", "libcuda.so.1"]),
    (
        "libcublas",
        &["libcublas.so", "libcublas.so.13", "libcublas.so.12"],
    ),
    (
        "libcublasLt",
        &["libcublasLt.so", "libcublasLt.so.13", "libcublasLt.so.12"],
    ),
    ("libcurand", &["libcurand.so", "libcurand.so.10"]),
];

/// On Windows the file names carry versions in the middle; nobody has tried, so the driver
/// alone is looked for.
#[cfg(not(unix))]
const LIBRARIES: [(&str, &[&str]); 1] = [("nvcuda", &["nvcuda.dll"])];

/// The device of that number, with a stream of its own, and its name.
///
/// # Errors
/// In words, when libraries are missing or the driver has no such device.
pub(super) fn open(index: usize) -> Result<(candle_core::Device, String), String> {
    // cudarc panics when it does not find a library, so we look first.
    let missing: Vec<&str> = LIBRARIES
        .iter()
        .filter(|(_, names)| !names.iter().any(|name| opens(name)))
        .map(|(library, _)| *library)
        .collect();
    if !missing.is_empty() {
        return Err(format!("cannot open {}", missing.join(", ")));
    }
    let device = CudaDevice::new_with_stream(index).map_err(|error| error.to_string())?;
    // SAFETY: every tensor of this device is made, used and freed on its one stream, in order;
    // tensors of another device reach it through host memory. The events that are not tracked
    // any more would order streams against each other, two of them at each allocation and some
    // at each launch.
    unsafe { device.disable_event_tracking() };
    let context = device.cuda_stream().context().clone();
    if let Err(error) = keep_freed_memory(&context) {
        tracing::debug!("cuda:{index}: the memory pool gives back what is freed: {error}");
    }
    let name = context.name().map_err(|error| error.to_string())?;
    Ok((candle_core::Device::Cuda(device), name))
}

fn opens(library: &str) -> bool {
    // SAFETY: these are NVIDIA's libraries, which cudarc opens next; their initialisers have no
    // conditions.
    unsafe { libloading::Library::new(library) }.is_ok()
}

/// Lets the driver's pool keep what is freed. By default it hands everything back at each
/// synchronisation, so each step would ask the system again for what the last one freed.
fn keep_freed_memory(context: &Arc<CudaContext>) -> Result<(), result::DriverError> {
    let mut all = u64::MAX;
    // SAFETY: the device is the context's; the threshold is a 64-bit number.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        result::mem_pool::set_attribute(
            pool,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            (&raw mut all).cast(),
        )
    }
}

/// Bytes that the pool keeps and nobody uses.
fn idle_in_pool(context: &Arc<CudaContext>) -> Result<u64, result::DriverError> {
    use sys::CUmemPool_attribute::{
        CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT as RESERVED, CU_MEMPOOL_ATTR_USED_MEM_CURRENT as USED,
    };
    let (mut reserved, mut used) = (0u64, 0u64);
    // SAFETY: the device is the context's; both attributes are 64-bit numbers.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        result::mem_pool::get_attribute(pool, RESERVED, (&raw mut reserved).cast())?;
        result::mem_pool::get_attribute(pool, USED, (&raw mut used).cast())?;
    }
    Ok(reserved.saturating_sub(used))
}

/// Free and total bytes; what the pool keeps idle counts as free.
pub(super) fn memory(device: &CudaDevice) -> Option<Memory> {
    let stream = device.cuda_stream();
    let context = stream.context();
    let (free, total) = context.mem_get_info().ok()?;
    let idle = idle_in_pool(context).unwrap_or(0);
    Some(Memory {
        free: free as u64 + idle,
        total: total as u64,
    })
}
