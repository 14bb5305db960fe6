//! `routing` and `readback`: what a router is asked, reads and answers.

use wasmtime::component::Resource;

use crate::pack::bindings::modularbase::pack::{readback, routing};
use crate::pack::state::{Fault, GuestPlan, Query, State};
use crate::plan::RowKind;
use crate::roles::Answer;
use crate::tensor::{Span, Step, Tensor};

/// The most signatures of a candidate that a router is shown. They are copied into its memory, and
/// one pack with thousands of them would end the router of all.
const SIGNATURES: usize = 16;

impl routing::Host for State {}

impl routing::HostQuery for State {
    fn text(&mut self, query: Resource<Query>) -> wasmtime::Result<String> {
        Ok(self.table.get(&query)?.0.text.clone())
    }

    fn candidates(&mut self, query: Resource<Query>) -> wasmtime::Result<Vec<routing::Candidate>> {
        let candidates = self.table.get(&query)?.0.candidates.iter();
        Ok(candidates
            .map(|candidate| routing::Candidate {
                id: candidate.id.clone(),
                version: candidate.version.clone(),
                name: candidate.name.clone(),
                domain: candidate.domain.clone(),
                keywords: candidate.keywords.clone(),
            })
            .collect())
    }

    fn signatures(
        &mut self,
        query: Resource<Query>,
        candidate: u32,
    ) -> wasmtime::Result<Vec<Vec<f32>>> {
        let query = &self.table.get(&query)?.0;
        let found = query.candidates.get(candidate as usize);
        let signatures = found.into_iter().flat_map(|it| &it.signatures);
        Ok(signatures.take(SIGNATURES).cloned().collect())
    }

    fn drop(&mut self, query: Resource<Query>) -> wasmtime::Result<()> {
        self.table.delete(query)?;
        Ok(())
    }
}

impl routing::HostAnswer for State {
    fn new(&mut self) -> wasmtime::Result<Resource<Answer>> {
        let answer = self.table.push(Answer::default())?;
        self.answers += 1;
        Ok(answer)
    }

    fn choose(
        &mut self,
        answer: Resource<Answer>,
        pack: String,
        score: f32,
    ) -> wasmtime::Result<()> {
        let pack = self.keep(pack)?;
        self.table.get_mut(&answer)?.chosen.push((pack, score));
        Ok(())
    }

    fn runner_up(
        &mut self,
        answer: Resource<Answer>,
        pack: String,
        score: f32,
    ) -> wasmtime::Result<()> {
        let pack = self.keep(pack)?;
        self.table.get_mut(&answer)?.runners_up.push((pack, score));
        Ok(())
    }

    fn strategy(&mut self, answer: Resource<Answer>, name: String) -> wasmtime::Result<()> {
        let name = self.keep(name)?;
        self.table.get_mut(&answer)?.strategy = Some(name);
        Ok(())
    }

    fn drop(&mut self, answer: Resource<Answer>) -> wasmtime::Result<()> {
        self.table.delete(answer)?;
        self.answers -= 1;
        Ok(())
    }
}

impl readback::Host for State {
    fn pooled(&mut self, query: Resource<Query>) -> wasmtime::Result<Vec<f32>> {
        Ok(self.table.get(&query)?.0.pooled.clone())
    }

    fn run(
        &mut self,
        plan: Resource<GuestPlan>,
        query: Resource<Query>,
    ) -> Result<Vec<f32>, Fault> {
        let GuestPlan { plan, program } = self.table.get(&plan)?;
        let (plan, program) = (plan.clone(), *program);
        let fits = plan.inputs() == [RowKind::Pooled]
            && plan.output_node().rows == RowKind::Pooled
            // There is a pooled state and no row: nothing to attend to, no token to embed.
            && plan.nodes().iter().all(|node| node.rows == RowKind::Pooled);
        if !fits {
            return Err(Fault::shape(
                "readback: the plan does not go from one pooled input to a pooled row, through \
                 pooled rows alone",
            ));
        }
        let Some(program) = program else {
            return Err(Fault::state(
                "the plan is only described: this load has no device",
            ));
        };
        let pooled = self.table.get(&query)?.0.pooled.clone();
        let width = plan.input_width();
        if pooled.len() != width {
            let found = pooled.len();
            return Err(Fault::shape(format!(
                "readback: the pooled state has width {found}, the plan takes {width}"
            )));
        }
        let span = Span {
            sequence: 0,
            start: 0,
            rows: 1,
        };
        let step = Step::new(vec![span], vec![0]).map_err(Fault::breach)?;
        self.count_run(&plan)?;
        self.on_host(|state| {
            let Some(program) = state.programs.get_mut(program) else {
                return Err(Fault::state("the plan's program is gone"));
            };
            let out = program.run(&step, &[&Tensor::new(width, pooled)])?;
            Ok(out.to_vec()?)
        })
    }
}
