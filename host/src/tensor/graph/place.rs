//! Where programs of this executor live: a candle device, its name, and whose turn it is.
//!
//! **Threads.** A program is used from one thread at a time, but not always the same one, and
//! two programs of one device may run on two threads. `Device::new_cuda` takes the *calling
//! thread's* default stream, so work from two threads would be unordered: a value could be read
//! before it is written. So a place has one stream of its own (`new_cuda_with_stream`), on which
//! everything happens in order, whichever thread asks; and a lock around each run, because
//! candle's cuBLAS handle and workspaces are the device's. A run only queues its kernels, so the
//! lock costs a second program nothing that the stream would not cost it anyway.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::{Memory, TensorError};

/// A candle device. Clones share it, and only clones' tensors mix without a detour.
#[derive(Clone)]
pub(in crate::tensor) struct Place {
    device: candle_core::Device,
    name: Arc<str>,
    turn: Arc<Mutex<()>>,
}

impl Place {
    /// Candle's own CPU device: the same tensors and operations without a GPU.
    #[cfg(test)]
    pub(in crate::tensor) fn cpu() -> Self {
        Self::new(candle_core::Device::Cpu, "cpu (candle)".into())
    }

    /// The CUDA device of that number.
    pub(in crate::tensor) fn cuda(index: usize) -> Result<Self, TensorError> {
        let fail = |reason: String| TensorError::Device {
            device: format!("cuda:{index}"),
            reason,
        };
        #[cfg(feature = "cuda")]
        {
            let (device, name) = super::cuda::open(index).map_err(fail)?;
            Ok(Self::new(device, format!("cuda:{index} {name}")))
        }
        #[cfg(not(feature = "cuda"))]
        Err(fail(
            "this program was built without CUDA (cargo feature `cuda`)".into(),
        ))
    }

    #[cfg(any(test, feature = "cuda"))]
    fn new(device: candle_core::Device, name: String) -> Self {
        Self {
            device,
            name: name.into(),
            turn: Arc::default(),
        }
    }

    /// Its name in messages.
    pub(in crate::tensor) fn name(&self) -> &str {
        &self.name
    }

    /// What it can hold, where it can say.
    pub(in crate::tensor) fn memory(&self) -> Option<Memory> {
        #[cfg(feature = "cuda")]
        if let candle_core::Device::Cuda(device) = &self.device {
            return super::cuda::memory(device);
        }
        Memory::of_the_machine()
    }

    /// The device.
    pub(super) fn device(&self) -> &candle_core::Device {
        &self.device
    }

    /// Waits until nobody else queues work. A panic elsewhere leaves nothing half done here.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What candle said, with the device's name.
    pub(super) fn fail(&self, error: candle_core::Error) -> TensorError {
        TensorError::Device {
            device: self.name.to_string(),
            reason: error.to_string(),
        }
    }
}
