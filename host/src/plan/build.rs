//! The operations of a network under construction: what each accepts, and what comes out.

use super::network::checked_name;
use super::options::{Options, clip};
use super::{
    Attention, Cost, Lane, Network, Op, Plan, PlanError, Pooling, RowKind, ValueId, Weight,
    WeightId, WeightType,
};

type Built = Result<ValueId, PlanError>;

fn shape<T>(words: String) -> Result<T, PlanError> {
    Err(PlanError::Shape(words))
}

impl Network {
    /// A further input: the base's hidden rows.
    pub fn hidden(&mut self) -> Built {
        self.input(RowKind::Step)
    }

    /// A further input: a row of the base's width for each sequence.
    pub fn pooled(&mut self) -> Built {
        self.input(RowKind::Pooled)
    }

    fn input(&mut self, rows: RowKind) -> Built {
        let id = self.push(Op::Input(self.inputs), rows, self.width)?;
        self.inputs += 1;
        Ok(id)
    }

    /// The step's token ids.
    pub fn tokens(&mut self) -> Built {
        self.push(Op::Tokens, RowKind::Tokens, 1)
    }

    /// Rows of `table` by token id.
    pub fn embed(&mut self, tokens: ValueId, table: WeightId) -> Built {
        let rows = self.node(tokens).rows;
        if rows != RowKind::Tokens {
            return shape(format!("embed: x is {rows}, expected tokens"));
        }
        let [_, width] = self.dims(table, "embed", "table")?;
        self.push(Op::Embed { tokens, table }, RowKind::Step, width)
    }

    /// `x · wᵀ + bias`.
    pub fn linear(&mut self, x: ValueId, w: WeightId, bias: Option<WeightId>) -> Built {
        let (rows, width) = self.numbers(x, "linear")?;
        let [out, into] = self.dims(w, "linear", "w")?;
        if into != width {
            let name = &self.weight_of(w).name;
            return shape(format!(
                "linear: x has width {width}, weight `{name}` takes {into}"
            ));
        }
        if let Some(bias) = bias {
            self.vector(bias, out, "linear")?;
        }
        self.push(Op::Linear { x, w, bias }, rows, out)
    }

    /// Root-mean-square norm of each run of `w`'s length.
    pub fn rms_norm(&mut self, x: ValueId, w: WeightId, eps: f32) -> Built {
        let (rows, width) = self.norm(x, w, eps, "rms-norm")?;
        self.push(Op::RmsNorm { x, w, eps }, rows, width)
    }

    /// Mean-and-variance norm of each run of `w`'s length.
    pub fn layer_norm(
        &mut self,
        x: ValueId,
        w: WeightId,
        bias: Option<WeightId>,
        eps: f32,
    ) -> Built {
        let (rows, width) = self.norm(x, w, eps, "layer-norm")?;
        if let Some(bias) = bias {
            let [run] = self.dims(w, "layer-norm", "w")?;
            self.vector(bias, run, "layer-norm")?;
        }
        self.push(Op::LayerNorm { x, w, bias, eps }, rows, width)
    }

    fn norm(
        &self,
        x: ValueId,
        w: WeightId,
        eps: f32,
        call: &str,
    ) -> Result<(RowKind, usize), PlanError> {
        let (rows, width) = self.numbers(x, call)?;
        let [run] = self.dims(w, call, "w")?;
        if !width.is_multiple_of(run) {
            let name = &self.weight_of(w).name;
            return shape(format!(
                "{call}: x has width {width}, not a multiple of weight `{name}`'s {run}"
            ));
        }
        self.vector(w, run, call)?;
        if !(eps.is_finite() && eps >= 0.0) {
            return shape(format!("{call}: eps is {eps}, expected a small number"));
        }
        Ok((rows, width))
    }

    /// `a + b`.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> Built {
        let (rows, width) = self.pair(a, b, "add", false)?;
        self.push(Op::Add { a, b }, rows, width)
    }

    /// `a · b`; a `b` of width 1 scales the whole row.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Built {
        let (rows, width) = self.pair(a, b, "mul", true)?;
        self.push(Op::Mul { a, b }, rows, width)
    }

    /// `x · factor`.
    pub fn scale(&mut self, x: ValueId, factor: f32) -> Built {
        let (rows, width) = self.numbers(x, "scale")?;
        if !factor.is_finite() {
            return shape(format!(
                "scale: factor is {factor}, expected a finite number"
            ));
        }
        self.push(Op::Scale { x, factor }, rows, width)
    }

    /// `x · sigmoid(x)`.
    pub fn silu(&mut self, x: ValueId) -> Built {
        let (rows, width) = self.numbers(x, "silu")?;
        self.push(Op::Silu { x }, rows, width)
    }

    /// The Gaussian error linear unit.
    pub fn gelu(&mut self, x: ValueId, approximate: bool) -> Built {
        let (rows, width) = self.numbers(x, "gelu")?;
        self.push(Op::Gelu { x, approximate }, rows, width)
    }

    /// `silu(gate) · up`.
    pub fn swiglu(&mut self, gate: ValueId, up: ValueId) -> Built {
        let (rows, width) = self.pair(gate, up, "swiglu", false)?;
        self.push(Op::SwiGlu { gate, up }, rows, width)
    }

    /// Softmax over each row.
    pub fn softmax(&mut self, x: ValueId) -> Built {
        let (rows, width) = self.numbers(x, "softmax")?;
        self.push(Op::Softmax { x }, rows, width)
    }

    /// Causal attention over everything the sequence has read, in the lane `name`.
    pub fn attend(
        &mut self,
        name: &str,
        q: ValueId,
        k: ValueId,
        v: ValueId,
        how: &[(String, String)],
    ) -> Built {
        let shown = checked_name(name, "attention")?;
        if self.lanes.iter().any(|lane| lane == name) {
            return shape(format!("attend: the name `{shown}` is taken"));
        }
        let mut options = Options::new("attend", how)?;
        let (how, width) = self.attention("attend", &mut options, (q, k, v))?;
        options.finish()?;
        let lane = self.lanes.len();
        let id = self.push(Op::Attend { lane, q, k, v, how }, RowKind::Step, width)?;
        self.lanes.push(name.to_owned());
        Ok(id)
    }

    /// Attention among this step's rows of a sequence.
    pub fn mix(&mut self, q: ValueId, k: ValueId, v: ValueId, how: &[(String, String)]) -> Built {
        let mut options = Options::new("mix", how)?;
        let (how, width) = self.attention("mix", &mut options, (q, k, v))?;
        let causal = options
            .value::<bool>("causal", "true or false")?
            .unwrap_or(true);
        options.finish()?;
        self.push(
            Op::Mix {
                q,
                k,
                v,
                how,
                causal,
            },
            RowKind::Step,
            width,
        )
    }

    fn attention(
        &self,
        call: &str,
        options: &mut Options<'_>,
        (q, k, v): (ValueId, ValueId, ValueId),
    ) -> Result<(Attention, usize), PlanError> {
        let mut widths = [0; 3];
        for (width, (x, name)) in widths.iter_mut().zip([(q, "q"), (k, "k"), (v, "v")]) {
            let (rows, found) = self.numbers(x, call)?;
            if rows != RowKind::Step {
                return shape(format!("{call}: {name} has {rows}, expected step rows"));
            }
            *width = found;
        }
        let how = Attention::parse(call, options, widths.into())?;
        Ok((how, how.heads * how.value_head))
    }

    /// A mixture of SwiGLU experts.
    pub fn moe(
        &mut self,
        x: ValueId,
        [router, gate, up, down]: [WeightId; 4],
        how: &[(String, String)],
    ) -> Built {
        let (rows, width) = self.numbers(x, "moe")?;
        let [experts, into] = self.dims(router, "moe", "router")?;
        let [_, inner, _] = self.dims(gate, "moe", "gate")?;
        let found = [
            ("router", vec![experts, into], vec![experts, width]),
            (
                "gate",
                self.weight_of(gate).shape.clone(),
                vec![experts, inner, width],
            ),
            (
                "up",
                self.weight_of(up).shape.clone(),
                vec![experts, inner, width],
            ),
            (
                "down",
                self.weight_of(down).shape.clone(),
                vec![experts, width, inner],
            ),
        ];
        for (name, found, expected) in found {
            if found != expected {
                return shape(format!("moe: {name} is {found:?}, expected {expected:?}"));
            }
        }
        let mut options = Options::new("moe", how)?;
        let top_k = options
            .count("top-k")?
            .ok_or_else(|| options.missing("top-k"))?;
        if top_k > experts {
            let expected = format!("at most the number of experts, {experts}");
            return Err(options.wrong("top-k", &top_k.to_string(), &expected));
        }
        let normalise = options
            .value::<bool>("normalise", "true or false")?
            .unwrap_or(true);
        options.finish()?;
        let op = Op::Moe {
            x,
            router,
            gate,
            up,
            down,
            top_k,
            normalise,
        };
        self.push(op, rows, width)
    }

    /// A sequence's rows to one.
    pub fn pool(&mut self, x: ValueId, how: &str) -> Built {
        let (rows, width) = self.numbers(x, "pool")?;
        if rows != RowKind::Step {
            return shape(format!("pool: x has {rows}, expected step rows"));
        }
        let how = match how {
            "mean" => Pooling::Mean,
            "max" => Pooling::Max,
            "first" => Pooling::First,
            "last" => Pooling::Last,
            other => {
                let other = clip(other);
                return shape(format!(
                    "pool: how is `{other}`, expected mean, max, first or last"
                ));
            }
        };
        self.push(Op::Pool { x, how }, RowKind::Pooled, width)
    }

    /// Side by side.
    pub fn concat(&mut self, parts: &[ValueId]) -> Built {
        const MOST: usize = 256;
        let Some((&first, _)) = parts.split_first() else {
            return shape("concat: there are no parts".into());
        };
        if parts.len() > MOST {
            let found = parts.len();
            return shape(format!(
                "concat: there are {found} parts, expected at most {MOST}"
            ));
        }
        let (rows, _) = self.numbers(first, "concat")?;
        let mut all = 0;
        for &part in parts {
            let (other, width) = self.numbers(part, "concat")?;
            if other != rows {
                return shape(format!("concat: {rows} and {other} do not go together"));
            }
            all += width;
        }
        let parts = parts.to_vec();
        self.push(Op::Concat { parts }, rows, all)
    }

    /// The values `start .. start + len` of each row.
    pub fn slice(&mut self, x: ValueId, start: usize, len: usize) -> Built {
        let (rows, width) = self.numbers(x, "slice")?;
        if len == 0 || start.checked_add(len).is_none_or(|end| end > width) {
            return shape(format!(
                "slice: {len} values from {start}, expected some of the {width} that x has"
            ));
        }
        self.push(Op::Slice { x, start, len }, rows, len)
    }

    /// Closes a plan over what `out` depends on.
    ///
    /// # Errors
    /// When `out` is tokens, when a stateful plan was closed before and this is another, when it
    /// needs more memory for each row than the quota has, and when the plans closed so far have
    /// used up the operations.
    pub fn finish(&mut self, out: ValueId) -> Result<Plan, PlanError> {
        self.numbers(out, "finish")?;
        let mut wanted = vec![false; self.nodes.len()];
        wanted[out.0] = true;
        for i in (0..=out.0).rev() {
            if wanted[i] {
                self.nodes[i].op.each_value(|id| wanted[id.0] = true);
            }
        }
        let mut plan = Plan {
            inputs: Vec::new(),
            nodes: Vec::new(),
            weights: Vec::new(),
            lanes: Vec::new(),
            output: ValueId(0),
            width: self.width,
            last_use: Vec::new(),
            cost: Cost::default(),
        };
        let mut renamed = vec![ValueId(0); self.nodes.len()];
        let mut weights = vec![None; self.weights.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            if !wanted[i] {
                continue;
            }
            let mut node = node.clone();
            let at = plan.nodes.len();
            node.op.each_value(|id| {
                *id = renamed[id.0];
                plan.last_use[id.0] = at;
            });
            node.op.each_weight(|id| {
                *id = *weights[id.0].get_or_insert_with(|| {
                    plan.weights.push(self.weights[id.0].clone());
                    WeightId(plan.weights.len() - 1)
                });
            });
            match &mut node.op {
                Op::Input(number) => {
                    *number = plan.inputs.len();
                    plan.inputs.push(node.rows);
                }
                Op::Attend { lane, how, .. } => {
                    plan.lanes.push(Lane {
                        name: self.lanes[*lane].clone(),
                        key_width: how.kv_heads * how.key_head,
                        value_width: how.kv_heads * how.value_head,
                    });
                    *lane = plan.lanes.len() - 1;
                }
                _ => {}
            }
            renamed[i] = ValueId(at);
            plan.last_use.push(at);
            plan.nodes.push(node);
        }
        plan.output = renamed[out.0];
        plan.last_use[plan.output.0] = plan.nodes.len();
        plan.cost = Cost::of(&plan.nodes, &plan.weights, &plan.last_use);
        plan.cost.lane_bytes = plan
            .lanes
            .iter()
            .map(|lane| 4 * (lane.key_width + lane.value_width) as u64)
            .sum();
        self.quota.holds(&plan)?;
        let closed = self.closed + plan.nodes.len();
        if closed > self.quota.operations {
            return Err(PlanError::Limit(format!(
                "finish: the plans have {closed} operations together, the quota is {}",
                self.quota.operations
            )));
        }
        if plan.is_stateful() {
            if self.stateful {
                return Err(PlanError::State(
                    "finish: an expert has at most one plan with `attend`, this is the second"
                        .into(),
                ));
            }
            self.stateful = true;
        }
        self.closed = closed;
        Ok(plan)
    }

    /// Takes back what closing `plan` did, for a plan that no device could take: the network may
    /// try a smaller one.
    pub fn reopen(&mut self, plan: &Plan) {
        self.stateful &= !plan.is_stateful();
    }

    /// A value that holds numbers: its row kind and width.
    fn numbers(&self, x: ValueId, call: &str) -> Result<(RowKind, usize), PlanError> {
        let node = self.node(x);
        match node.rows {
            RowKind::Tokens => shape(format!("{call}: tokens are good for `embed` alone")),
            rows => Ok((rows, node.width)),
        }
    }

    fn pair(
        &self,
        a: ValueId,
        b: ValueId,
        call: &str,
        broadcast: bool,
    ) -> Result<(RowKind, usize), PlanError> {
        let (rows, width) = self.numbers(a, call)?;
        let (other_rows, other) = self.numbers(b, call)?;
        if rows != other_rows {
            return shape(format!(
                "{call}: {rows} and {other_rows} do not go together"
            ));
        }
        if width != other && !(broadcast && other == 1) {
            return shape(format!("{call}: the widths are {width} and {other}"));
        }
        Ok((rows, width))
    }

    /// A weight's dimensions, which must be `N`.
    fn dims<const N: usize>(
        &self,
        w: WeightId,
        call: &str,
        role: &str,
    ) -> Result<[usize; N], PlanError> {
        let Weight { name, shape, .. } = self.weight_of(w);
        <[usize; N]>::try_from(shape.as_slice()).map_err(|_| {
            PlanError::Shape(format!(
                "{call}: {role} is weight `{name}` {shape:?}, expected {N} dimensions"
            ))
        })
    }

    /// Checks a bias or a norm: one dimension of `len`, of a type that is read number by number.
    fn vector(&self, w: WeightId, len: usize, call: &str) -> Result<(), PlanError> {
        let [found] = self.dims(w, call, "the vector")?;
        let Weight { name, kind, .. } = self.weight_of(w);
        if found != len {
            return shape(format!(
                "{call}: weight `{name}` is [{found}], expected [{len}]"
            ));
        }
        match kind {
            WeightType::F32 | WeightType::F16 | WeightType::Bf16 => Ok(()),
            other => Err(PlanError::Weight(format!(
                "{call}: weight `{name}` is {other}, expected F32, F16 or BF16"
            ))),
        }
    }
}
