//! Weights of an untrained pack, its zeros replaced.
//!
//! A fresh pack gives back what it is given, so nothing that it computes would reach the rows
//! that are compared. Where a weight starts as zeros, seeded numbers take their place.

use std::collections::HashMap;
use std::sync::Arc;

use crate::pack::build::seeded::Numbers;
use crate::plan::{Init, Weight};
use crate::tensor::{WeightData, Weights, quantize};

/// Weights over others.
pub(super) struct Stirred {
    below: Arc<dyn Weights>,
    own: HashMap<String, WeightData>,
}

impl Stirred {
    /// The weights of `below`, but for those of `declared` that start as zeros.
    pub(super) fn over(below: Arc<dyn Weights>, declared: &[Weight]) -> Self {
        let zeros = declared.iter().filter(|it| it.init == Init::Zeros);
        let own = zeros.filter_map(|it| Some((it.name.clone(), numbers(it)?)));
        Self {
            own: own.collect(),
            below,
        }
    }

    /// Whether it differs from what it lies over.
    pub(super) fn is_stirred(&self) -> bool {
        !self.own.is_empty()
    }
}

impl Weights for Stirred {
    fn weight(&self, name: &str) -> Option<WeightData> {
        let own = self.own.get(name).cloned();
        own.or_else(|| self.below.weight(name))
    }
}

/// Numbers of the size that a weight of this shape usually starts with.
fn numbers(weight: &Weight) -> Option<WeightData> {
    let inputs = weight.shape.last().copied()?;
    let init = Init::Normal((inputs as f32).sqrt().recip());
    let mut numbers = Numbers::new(1, &weight.name, init);
    let numbers: Vec<f32> = (0..weight.elements()).map(|_| numbers.next()).collect();
    let bytes = quantize(weight.kind, &numbers)?;
    let range = 0..bytes.len();
    WeightData::new(weight.kind, weight.shape.clone(), Arc::new(bytes), range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::WeightType;

    struct Nothing;

    impl Weights for Nothing {
        fn weight(&self, _: &str) -> Option<WeightData> {
            None
        }
    }

    #[test]
    fn zeros_are_replaced_and_nothing_else_is() {
        let weight = |name: &str, kind, init| Weight {
            name: name.into(),
            shape: vec![2, 32],
            kind,
            init,
        };
        let declared = [
            weight("zeros", WeightType::F32, Init::Zeros),
            weight("small", WeightType::Q8_0, Init::Zeros),
            weight("ones", WeightType::F32, Init::Ones),
        ];
        let stirred = Stirred::over(Arc::new(Nothing), &declared);
        assert!(stirred.is_stirred());
        for name in ["zeros", "small"] {
            let found = stirred.weight(name).expect("it is replaced");
            assert_eq!(found.shape, [2, 32]);
            assert!(found.bytes().iter().any(|byte| *byte != 0));
        }
        assert!(stirred.weight("ones").is_none());
        assert!(!Stirred::over(Arc::new(Nothing), &declared[2..]).is_stirred());
    }
}
