//! `turns`: a turn's text, and what a pack says about it.

use wasmtime::component::Resource;

use crate::pack::bindings::modularbase::pack::turns;
use crate::pack::state::State;
use crate::roles::{Advice, Reply, Turn, Verdict};

impl turns::Host for State {}

impl turns::HostTurn for State {
    fn text(&mut self, turn: Resource<Turn>) -> wasmtime::Result<String> {
        Ok(self.table.get(&turn)?.text.clone())
    }

    fn index(&mut self, turn: Resource<Turn>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&turn)?.index)
    }

    fn gate(&mut self, turn: Resource<Turn>) -> wasmtime::Result<f32> {
        Ok(self.table.get(&turn)?.gate)
    }

    fn drop(&mut self, turn: Resource<Turn>) -> wasmtime::Result<()> {
        self.table.delete(turn)?;
        Ok(())
    }
}

impl turns::HostAdvice for State {
    fn new(&mut self) -> wasmtime::Result<Resource<Advice>> {
        let advice = self.table.push(Advice::default())?;
        self.answers += 1;
        Ok(advice)
    }

    fn context(&mut self, advice: Resource<Advice>, text: String) -> wasmtime::Result<()> {
        let text = self.keep(text)?;
        self.table.get_mut(&advice)?.context.push(text);
        Ok(())
    }

    fn grammar(&mut self, advice: Resource<Advice>, grammar: String) -> wasmtime::Result<()> {
        let grammar = self.keep(grammar)?;
        self.table.get_mut(&advice)?.grammar = Some(grammar);
        Ok(())
    }

    fn variant(&mut self, advice: Resource<Advice>, name: String) -> wasmtime::Result<()> {
        let name = self.keep(name)?;
        self.table.get_mut(&advice)?.variant = Some(name);
        Ok(())
    }

    fn decline(&mut self, advice: Resource<Advice>, reason: String) -> wasmtime::Result<()> {
        let reason = self.keep(reason)?;
        self.table.get_mut(&advice)?.decline = Some(reason);
        Ok(())
    }

    fn drop(&mut self, advice: Resource<Advice>) -> wasmtime::Result<()> {
        self.table.delete(advice)?;
        self.answers -= 1;
        Ok(())
    }
}

impl turns::HostReply for State {
    fn text(&mut self, reply: Resource<Reply>) -> wasmtime::Result<String> {
        Ok(self.table.get(&reply)?.text.clone())
    }

    fn may_retry(&mut self, reply: Resource<Reply>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&reply)?.may_retry)
    }

    fn drop(&mut self, reply: Resource<Reply>) -> wasmtime::Result<()> {
        self.table.delete(reply)?;
        Ok(())
    }
}

impl turns::HostVerdict for State {
    fn new(&mut self) -> wasmtime::Result<Resource<Verdict>> {
        let verdict = self.table.push(Verdict::default())?;
        self.answers += 1;
        Ok(verdict)
    }

    fn note(&mut self, verdict: Resource<Verdict>, text: String) -> wasmtime::Result<()> {
        let text = self.keep(text)?;
        self.table.get_mut(&verdict)?.notes.push(text);
        Ok(())
    }

    fn retry(&mut self, verdict: Resource<Verdict>, reason: String) -> wasmtime::Result<()> {
        let reason = self.keep(reason)?;
        self.table.get_mut(&verdict)?.retry = Some(reason);
        Ok(())
    }

    fn drop(&mut self, verdict: Resource<Verdict>) -> wasmtime::Result<()> {
        self.table.delete(verdict)?;
        self.answers -= 1;
        Ok(())
    }
}
