//! `log` and `tensors`.

use wasmtime::component::Resource;

use crate::pack::bindings::modularbase::pack::{log, tensors};
use crate::pack::state::{Fault, State, StepHandle};
use crate::tensor::Tensor;

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.log.write(level, &message);
        Ok(())
    }
}

impl tensors::Host for State {
    fn convert_error(&mut self, fault: Fault) -> wasmtime::Result<tensors::Error> {
        match fault {
            Fault::Refused(error) => Ok(error),
            Fault::Breach(error) => Err(error),
        }
    }
}

impl tensors::HostTensor for State {
    fn rows(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.table.get(&tensor)?.rows())?)
    }

    fn width(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.table.get(&tensor)?.width())?)
    }

    fn drop(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<()> {
        self.table.delete(tensor)?;
        self.tensors -= 1;
        Ok(())
    }
}

impl tensors::HostStep for State {
    fn drop(&mut self, step: Resource<StepHandle>) -> wasmtime::Result<()> {
        self.table.delete(step)?;
        Ok(())
    }
}
