//! `network`: a guest describes its plans, and runs them.

use std::sync::Arc;

use wasmtime::component::Resource;

use crate::pack::bindings::modularbase::pack::network::{self, Init, Options};
use crate::pack::state::{Fault, GuestPlan, NetworkHandle, State, StepHandle, Value, Weight};
use crate::plan::{self, Network, Plan, PlanError, ValueId};
use crate::tensor::{Tensor, TensorError};

type NetworkResource = Resource<NetworkHandle>;
type Made = Result<Resource<Value>, Fault>;

impl State {
    /// Describes one operation and gives the guest its value.
    fn describe(&mut self, build: impl FnOnce(&mut Network) -> Result<ValueId, PlanError>) -> Made {
        let id = build(&mut self.building()?.network)?;
        let load = self.load;
        self.lend(Value { load, id })
    }

    /// Loads a plan, where the open network leads to a device, and says where its program is.
    fn put_on_device(&mut self, plan: &Arc<Plan>, who: &str) -> Result<Option<usize>, Fault> {
        let Some(loader) = &self.building()?.loader else {
            return Ok(None);
        };
        let program = loader
            .device
            .load(plan, &*loader.weights, &loader.ledger, who)?;
        let nothing = loader.ledger.grant("scratch", 0);
        let nothing = nothing.map_err(TensorError::from)?;
        self.held.get_or_insert(nothing);
        let number = self.programs.len();
        self.programs.push(program);
        if plan.is_stateful() {
            self.stateful = Some(number);
        }
        Ok(Some(number))
    }

    fn optional(&self, weight: Option<Resource<Weight>>) -> Result<Option<plan::WeightId>, Fault> {
        weight.map(|weight| self.weight_id(&weight)).transpose()
    }
}

impl network::Host for State {}

impl network::HostWeight for State {
    fn shape(&mut self, weight: Resource<Weight>) -> wasmtime::Result<Vec<u32>> {
        let Ok(id) = self.weight_id(&weight) else {
            return Ok(Vec::new());
        };
        let Some(building) = &self.building else {
            return Ok(Vec::new());
        };
        let shape = building.network.weight_of(id).shape.iter();
        shape.map(|&n| Ok(u32::try_from(n)?)).collect()
    }

    fn drop(&mut self, weight: Resource<Weight>) -> wasmtime::Result<()> {
        self.table.delete(weight)?;
        Ok(())
    }
}

impl network::HostValue for State {
    fn width(&mut self, value: Resource<Value>) -> wasmtime::Result<u32> {
        let (Ok(id), Some(building)) = (self.value_id(&value), &self.building) else {
            return Ok(0);
        };
        Ok(u32::try_from(building.network.width_of(id))?)
    }

    fn drop(&mut self, value: Resource<Value>) -> wasmtime::Result<()> {
        self.table.delete(value)?;
        Ok(())
    }
}

impl network::HostPlan for State {
    fn run(
        &mut self,
        plan: Resource<GuestPlan>,
        _step: Resource<StepHandle>,
        inputs: Vec<Resource<Tensor>>,
    ) -> Result<Resource<Tensor>, Fault> {
        let GuestPlan { plan, program } = self.table.get(&plan)?;
        let plan = plan.clone();
        let Some(program) = *program else {
            return Err(Fault::state(
                "the plan is only described: this load has no device",
            ));
        };
        let keeps_lanes = self.stateful == Some(program);
        let step = match &self.running {
            None => return Err(Fault::state("a plan runs only while `forward` does")),
            Some(running) if keeps_lanes && running.stateful_runs > 0 => {
                return Err(Fault::breach(
                    "ran its stateful plan twice in one `forward`, expected once",
                ));
            }
            Some(running) => running.step.clone(),
        };
        let inputs: Vec<Tensor> = inputs
            .iter()
            .map(|input| self.table.get(input).cloned())
            .collect::<Result<_, _>>()?;
        self.count_run(&plan)?;
        let held = self.hold(&plan, &step)?;
        let out = self.on_host(|state| {
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            match state.programs.get_mut(program) {
                Some(program) => program.run(&step, &inputs).map_err(Fault::from),
                None => Err(Fault::state("the plan's program is gone")),
            }
        });
        let out = out.inspect_err(|_| self.release(held))?;
        // A run that failed left the lanes as they were, and does not count.
        if let Some(running) = &mut self.running
            && keeps_lanes
        {
            running.stateful_runs += 1;
        }
        let out = self.lend(out)?;
        self.tensors += 1;
        Ok(out)
    }

    fn drop(&mut self, plan: Resource<GuestPlan>) -> wasmtime::Result<()> {
        self.table.delete(plan)?;
        Ok(())
    }
}

impl network::HostNetwork for State {
    fn config(&mut self, _: NetworkResource, key: String) -> wasmtime::Result<Option<String>> {
        let Some(open) = &mut self.building else {
            return Ok(None);
        };
        let answer = (open.config)(&key);
        open.take_down(key);
        Ok(answer)
    }

    fn width(&mut self, _: NetworkResource) -> wasmtime::Result<u32> {
        let width = self
            .building
            .as_ref()
            .map_or(0, |open| open.network.width());
        Ok(u32::try_from(width)?)
    }

    fn weight(
        &mut self,
        _: NetworkResource,
        name: String,
        shape: Vec<u32>,
        init: Init,
    ) -> Result<Resource<Weight>, Fault> {
        let shape: Vec<usize> = shape.into_iter().map(|n| n as usize).collect();
        let init = match init {
            Init::Zeros => plan::Init::Zeros,
            Init::Ones => plan::Init::Ones,
            Init::Normal(deviation) => plan::Init::Normal(deviation),
        };
        let id = self.building()?.network.weight(&name, &shape, init)?;
        let load = self.load;
        self.lend(Weight { load, id })
    }

    fn hidden(&mut self, _: NetworkResource) -> Made {
        self.describe(Network::hidden)
    }

    fn pooled(&mut self, _: NetworkResource) -> Made {
        self.describe(Network::pooled)
    }

    fn tokens(&mut self, _: NetworkResource) -> Made {
        self.describe(Network::tokens)
    }

    fn embed(
        &mut self,
        _: NetworkResource,
        tokens: Resource<Value>,
        table: Resource<Weight>,
    ) -> Made {
        let (tokens, table) = (self.value_id(&tokens)?, self.weight_id(&table)?);
        self.describe(|net| net.embed(tokens, table))
    }

    fn linear(
        &mut self,
        _: NetworkResource,
        x: Resource<Value>,
        w: Resource<Weight>,
        bias: Option<Resource<Weight>>,
    ) -> Made {
        let (x, w, bias) = (
            self.value_id(&x)?,
            self.weight_id(&w)?,
            self.optional(bias)?,
        );
        self.describe(|net| net.linear(x, w, bias))
    }

    fn rms_norm(
        &mut self,
        _: NetworkResource,
        x: Resource<Value>,
        w: Resource<Weight>,
        eps: f32,
    ) -> Made {
        let (x, w) = (self.value_id(&x)?, self.weight_id(&w)?);
        self.describe(|net| net.rms_norm(x, w, eps))
    }

    fn layer_norm(
        &mut self,
        _: NetworkResource,
        x: Resource<Value>,
        w: Resource<Weight>,
        bias: Option<Resource<Weight>>,
        eps: f32,
    ) -> Made {
        let (x, w, bias) = (
            self.value_id(&x)?,
            self.weight_id(&w)?,
            self.optional(bias)?,
        );
        self.describe(|net| net.layer_norm(x, w, bias, eps))
    }

    fn add(&mut self, _: NetworkResource, a: Resource<Value>, b: Resource<Value>) -> Made {
        let (a, b) = (self.value_id(&a)?, self.value_id(&b)?);
        self.describe(|net| net.add(a, b))
    }

    fn mul(&mut self, _: NetworkResource, a: Resource<Value>, b: Resource<Value>) -> Made {
        let (a, b) = (self.value_id(&a)?, self.value_id(&b)?);
        self.describe(|net| net.mul(a, b))
    }

    fn scale(&mut self, _: NetworkResource, x: Resource<Value>, factor: f32) -> Made {
        let x = self.value_id(&x)?;
        self.describe(|net| net.scale(x, factor))
    }

    fn silu(&mut self, _: NetworkResource, x: Resource<Value>) -> Made {
        let x = self.value_id(&x)?;
        self.describe(|net| net.silu(x))
    }

    fn gelu(&mut self, _: NetworkResource, x: Resource<Value>, approximate: bool) -> Made {
        let x = self.value_id(&x)?;
        self.describe(|net| net.gelu(x, approximate))
    }

    fn swiglu(&mut self, _: NetworkResource, gate: Resource<Value>, up: Resource<Value>) -> Made {
        let (gate, up) = (self.value_id(&gate)?, self.value_id(&up)?);
        self.describe(|net| net.swiglu(gate, up))
    }

    fn softmax(&mut self, _: NetworkResource, x: Resource<Value>) -> Made {
        let x = self.value_id(&x)?;
        self.describe(|net| net.softmax(x))
    }

    fn attend(
        &mut self,
        _: NetworkResource,
        name: String,
        q: Resource<Value>,
        k: Resource<Value>,
        v: Resource<Value>,
        how: Options,
    ) -> Made {
        let (q, k, v) = (self.value_id(&q)?, self.value_id(&k)?, self.value_id(&v)?);
        self.describe(|net| net.attend(&name, q, k, v, &how))
    }

    fn mix(
        &mut self,
        _: NetworkResource,
        q: Resource<Value>,
        k: Resource<Value>,
        v: Resource<Value>,
        how: Options,
    ) -> Made {
        let (q, k, v) = (self.value_id(&q)?, self.value_id(&k)?, self.value_id(&v)?);
        self.describe(|net| net.mix(q, k, v, &how))
    }

    fn moe(
        &mut self,
        _: NetworkResource,
        x: Resource<Value>,
        router: Resource<Weight>,
        gate: Resource<Weight>,
        up: Resource<Weight>,
        down: Resource<Weight>,
        how: Options,
    ) -> Made {
        let x = self.value_id(&x)?;
        let weights = [
            self.weight_id(&router)?,
            self.weight_id(&gate)?,
            self.weight_id(&up)?,
            self.weight_id(&down)?,
        ];
        self.describe(|net| net.moe(x, weights, &how))
    }

    fn pool(&mut self, _: NetworkResource, x: Resource<Value>, how: String) -> Made {
        let x = self.value_id(&x)?;
        self.describe(|net| net.pool(x, &how))
    }

    fn concat(&mut self, _: NetworkResource, parts: Vec<Resource<Value>>) -> Made {
        let parts = parts
            .iter()
            .map(|part| self.value_id(part))
            .collect::<Result<Vec<_>, _>>()?;
        self.describe(|net| net.concat(&parts))
    }

    fn slice(&mut self, _: NetworkResource, x: Resource<Value>, start: u32, len: u32) -> Made {
        let x = self.value_id(&x)?;
        self.describe(|net| net.slice(x, start as usize, len as usize))
    }

    fn finish(
        &mut self,
        _: NetworkResource,
        out: Resource<Value>,
    ) -> Result<Resource<GuestPlan>, Fault> {
        let out = self.value_id(&out)?;
        let who = self.who.clone();
        let plan = Arc::new(self.building()?.network.finish(out)?);
        let program = self.on_host(|state| state.put_on_device(&plan, &who));
        let building = self.building()?;
        let program = program.inspect_err(|_| building.network.reopen(&plan))?;
        building.plans.push(plan.clone());
        self.lend(GuestPlan { plan, program })
    }

    fn drop(&mut self, network: NetworkResource) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}
