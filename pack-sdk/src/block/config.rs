//! The shape of a stack of blocks, as a pack's configuration says it.
//!
//! Read once by `load`, from the manifest's `[model]` table or, in tests, from any lookup. What
//! stays true: a configuration that was read divides and multiplies without surprises.

use std::fmt::Display;
use std::str::FromStr;

use crate::config::{Lookup, read, require};
use crate::{Attention, Error, Network, Result, Rope, RopeScaling};

/// Experts that a row goes through when nothing is said.
const ACTIVE: u32 = 2;

/// What shape [`Block`](crate::Block)s have.
///
/// | key in `[model]` | default | |
/// |---|---|---|
/// | `layers` | required | how many blocks |
/// | `width` | the base's | numbers in a row inside the blocks |
/// | `heads` | required | query heads |
/// | `kv-heads` | `heads` | heads of keys and values |
/// | `head-size` | `width / heads` | numbers in a head |
/// | `feed-forward` | required | inner width of the feed-forward, or of each expert in it |
/// | `experts` | none | the feed-forward is a mixture of so many experts |
/// | `active` | `2` | experts that a row goes through |
/// | `norm-eps` | `1e-5` | in every norm |
/// | `rope` | `halves` | `none`, `halves` or `pairs` |
/// | `rope-base` | `10000` | base of the frequencies |
/// | `rope-dim` | `head-size` | numbers of a head that are turned |
/// | `rope-scaling` | `none` | `none`, `linear`, `llama3` or `yarn` |
/// | `rope-factor` | required by a scaling | how many times longer the context becomes |
/// | `rope-original-context` | required by `llama3`, `yarn` | the context it was trained for |
/// | `rope-low-freq-factor`, `rope-high-freq-factor` | `1`, `4` | of `llama3` |
/// | `rope-beta-fast`, `rope-beta-slow` | `32`, `1` | of `yarn` |
/// | `rope-attention-factor` | the host's formula | of `yarn` |
/// | `window` | all rows | how many rows back a row attends, itself included |
/// | `qkv-bias` | `false` | queries, keys and values have a bias |
/// | `qk-norm` | `false` | each head of queries and keys has a norm |
/// | `adapters` | when `width` is not the base's | linear maps in and out |
///
/// ```
/// use modularbase_pack::BlockConfig;
///
/// let config = BlockConfig::read(64, |key| match key {
///     "layers" => Some("2".to_owned()),
///     "heads" => Some("4".to_owned()),
///     "feed-forward" => Some("128".to_owned()),
///     _ => None,
/// })?;
/// assert_eq!(config.head_size, 16);
/// assert!(!config.adapters);
/// # Ok::<(), modularbase_pack::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BlockConfig {
    /// The width of the base's hidden rows; no key, it comes from the host.
    pub base_width: u32,
    /// How many blocks.
    pub layers: u32,
    /// Numbers in a row inside the blocks.
    pub width: u32,
    /// Query heads.
    pub heads: u32,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Numbers in a head.
    pub head_size: u32,
    /// Inner width of the feed-forward, or of each expert in it.
    pub feed_forward: u32,
    /// How many experts the feed-forward is a mixture of; a plain one without.
    pub experts: Option<u32>,
    /// How many experts of a mixture a row goes through.
    pub active: u32,
    /// In every norm.
    pub norm_eps: f32,
    /// How queries and keys are turned by their position.
    pub rope: Rope,
    /// Base of the rotation's frequencies.
    pub rope_base: f32,
    /// Numbers of a head that are turned, when not all of them.
    pub rope_dim: Option<u32>,
    /// How the rotation is stretched.
    pub rope_scaling: RopeScaling,
    /// How many rows back a row attends, itself included.
    pub window: Option<u32>,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether each head of queries and keys has a norm.
    pub qk_norm: bool,
    /// Whether linear maps lead in and out.
    pub adapters: bool,
}

impl BlockConfig {
    /// The shape that the pack's configuration says.
    ///
    /// # Errors
    ///
    /// When a required key is missing, a value does not parse, or values do not fit together;
    /// the error names the key.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let mut config = BlockConfig::from_network(net)?;
    /// config.window = Some(512);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_network(net: &Network<'_>) -> Result<Self> {
        Self::read(net.width(), |key| net.config(key))
    }

    /// The shape that a lookup of keys says, for a base of this width.
    ///
    /// # Errors
    ///
    /// As [`from_network`](BlockConfig::from_network).
    ///
    /// ```
    /// # use modularbase_pack::BlockConfig;
    /// let nothing = BlockConfig::read(64, |_| None).unwrap_err();
    /// assert_eq!(nothing.to_string(), "configuration `layers` is missing");
    /// ```
    pub fn read(base_width: u32, lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let lookup: Lookup<'_> = &lookup;
        let layers = positive(lookup, "layers", None)?;
        let width = positive(lookup, "width", Some(base_width))?;
        let heads = positive(lookup, "heads", None)?;
        let kv_heads = positive(lookup, "kv-heads", Some(heads))?;
        divides(("kv-heads", kv_heads), ("heads", heads))?;
        let head_size = match lookup("head-size") {
            None => {
                divides(("heads", heads), ("width", width))?;
                width / heads
            }
            Some(_) => positive(lookup, "head-size", None)?,
        };
        if heads.checked_mul(head_size).is_none() {
            return Err(Error::Other(format!(
                "configuration `heads` is {heads} and `head-size` is {head_size}, \
                 expected a product below 2^32"
            )));
        }
        let rope = or(lookup, "rope", Rope::default())?;
        let rope_dim = read(lookup, "rope-dim")?;
        if rope != Rope::None && rope_dim.is_none() && head_size % 2 != 0 {
            let given = match lookup("head-size") {
                None => format!("`width` {width} over `heads` {heads} gives heads"),
                Some(_) => "`head-size` gives heads".to_owned(),
            };
            return Err(Error::Other(format!(
                "`[model]`: {given} of {head_size} numbers, expected an even number with `rope`: \
                 say an even `rope-dim`, or `rope = \"none\"`"
            )));
        }
        let (experts, active) = mixture(lookup)?;
        let adapters = or(lookup, "adapters", width != base_width)?;
        if width != base_width && !adapters {
            return Err(Error::Other(format!(
                "configuration `adapters` is `false`, expected `true` where `width` is {width} \
                 and the base's {base_width}"
            )));
        }
        Ok(Self {
            base_width,
            layers,
            width,
            heads,
            kv_heads,
            head_size,
            feed_forward: positive(lookup, "feed-forward", None)?,
            experts,
            active,
            norm_eps: or(lookup, "norm-eps", 1e-5)?,
            rope,
            rope_base: or(lookup, "rope-base", 10_000.0)?,
            rope_dim,
            rope_scaling: rope_scaling(lookup)?,
            window: read(lookup, "window")?,
            qkv_bias: or(lookup, "qkv-bias", false)?,
            qk_norm: or(lookup, "qk-norm", false)?,
            adapters,
        })
    }

    /// How the blocks attend.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(config: &BlockConfig, q: &Value, k: &Value, v: &Value) -> Result<()> {
    /// let y = q.attend("mine", k, v, &config.attention())?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn attention(&self) -> Attention {
        let mut how = Attention::new(self.heads).kv_heads(self.kv_heads);
        if self.rope != Rope::None {
            how = how.rope(self.rope).rope_base(self.rope_base);
            if let Some(dim) = self.rope_dim {
                how = how.rope_dim(dim);
            }
            if self.rope_scaling != RopeScaling::None {
                how = how.rope_scaling(self.rope_scaling);
            }
        }
        match self.window {
            Some(rows) => how.window(rows),
            None => how,
        }
    }
}

/// How many experts, and how many of them a row goes through.
fn mixture(lookup: Lookup<'_>) -> Result<(Option<u32>, u32)> {
    if lookup("experts").is_none() {
        if lookup("active").is_some() {
            return Err(Error::other(
                "configuration `active` is there and `experts` is not: say how many there are",
            ));
        }
        return Ok((None, ACTIVE));
    }
    let experts = positive(lookup, "experts", None)?;
    let active = positive(lookup, "active", Some(ACTIVE.min(experts)))?;
    if active > experts {
        return Err(Error::Other(format!(
            "configuration `active` is {active}, expected at most `experts`, which is {experts}"
        )));
    }
    Ok((Some(experts), active))
}

fn rope_scaling(lookup: Lookup<'_>) -> Result<RopeScaling> {
    let Some(kind) = lookup("rope-scaling") else {
        return Ok(RopeScaling::None);
    };
    let factor = || require(lookup, "rope-factor");
    let original_context = || require(lookup, "rope-original-context");
    match kind.as_str() {
        "none" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: factor()? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: factor()?,
            original_context: original_context()?,
            low_freq_factor: or(lookup, "rope-low-freq-factor", 1.0)?,
            high_freq_factor: or(lookup, "rope-high-freq-factor", 4.0)?,
        }),
        "yarn" => Ok(RopeScaling::Yarn {
            factor: factor()?,
            original_context: original_context()?,
            beta_fast: or(lookup, "rope-beta-fast", 32.0)?,
            beta_slow: or(lookup, "rope-beta-slow", 1.0)?,
            attention: read(lookup, "rope-attention-factor")?,
        }),
        _ => Err(Error::Other(format!(
            "configuration `rope-scaling` is `{kind}`: expected `none`, `linear`, `llama3` or \
             `yarn`"
        ))),
    }
}

fn or<T: FromStr<Err: Display>>(lookup: Lookup<'_>, key: &str, default: T) -> Result<T> {
    Ok(read(lookup, key)?.unwrap_or(default))
}

fn positive(lookup: Lookup<'_>, key: &str, default: Option<u32>) -> Result<u32> {
    let value = match default {
        Some(default) => or(lookup, key, default)?,
        None => require(lookup, key)?,
    };
    match value {
        0 => Err(Error::Other(format!(
            "configuration `{key}` is 0, expected at least 1"
        ))),
        _ => Ok(value),
    }
}

fn divides((part, by): (&str, u32), (whole, of): (&str, u32)) -> Result<()> {
    if of % by == 0 {
        return Ok(());
    }
    Err(Error::Other(format!(
        "configuration `{part}` is {by}, expected a divisor of `{whole}`, which is {of}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A base of width 64, and keys and texts on top of the required ones.
    fn read(with: &[(&str, &str)]) -> Result<BlockConfig, String> {
        let required = [("layers", "2"), ("heads", "4"), ("feed-forward", "128")];
        let config = BlockConfig::read(64, |key| {
            let mut known = with.iter().chain(&required);
            known
                .find(|(name, _)| *name == key)
                .map(|(_, text)| (*text).to_owned())
        });
        config.map_err(|error| error.to_string())
    }

    fn refused(with: &[(&str, &str)], words: &str) {
        assert_eq!(read(with), Err(words.to_owned()));
    }

    #[test]
    fn defaults_follow_from_what_is_said() {
        let config = read(&[]).expect("the required keys are enough");
        assert_eq!(
            (config.width, config.head_size, config.kv_heads),
            (64, 16, 4)
        );
        assert!(!config.adapters);
        let config = read(&[("width", "96")]).expect("another width inside");
        assert_eq!((config.head_size, config.adapters), (24, true));
    }

    #[test]
    fn a_head_has_any_size_when_it_is_said() {
        let config = read(&[("heads", "5"), ("head-size", "32")]).expect("5 heads of 32");
        assert_eq!((config.heads, config.head_size), (5, 32));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_key() {
        refused(
            &[("heads", "0")],
            "configuration `heads` is 0, expected at least 1",
        );
        refused(
            &[("heads", "5")],
            "configuration `heads` is 5, expected a divisor of `width`, which is 64",
        );
        refused(
            &[("kv-heads", "3")],
            "configuration `kv-heads` is 3, expected a divisor of `heads`, which is 4",
        );
        refused(
            &[("head-size", "4294967295")],
            "configuration `heads` is 4 and `head-size` is 4294967295, \
             expected a product below 2^32",
        );
        refused(
            &[("width", "96"), ("adapters", "false")],
            "configuration `adapters` is `false`, expected `true` where `width` is 96 \
             and the base's 64",
        );
        refused(
            &[("rope", "spiral")],
            "`[model]`: `rope` is `spiral`: expected `none`, `halves` or `pairs`",
        );
        refused(
            &[("rope-scaling", "ntk")],
            "configuration `rope-scaling` is `ntk`: expected `none`, `linear`, `llama3` or `yarn`",
        );
        refused(
            &[("rope-scaling", "yarn")],
            "configuration `rope-factor` is missing",
        );
    }

    #[test]
    fn a_mixture_goes_through_two_experts_or_as_many_as_are_said() {
        let mixture = |with: &[(&str, &str)]| {
            let config = read(with).expect("it fits");
            (config.experts, config.active)
        };
        assert_eq!(mixture(&[]).0, None);
        assert_eq!(mixture(&[("experts", "8")]), (Some(8), 2));
        assert_eq!(mixture(&[("experts", "8"), ("active", "8")]), (Some(8), 8));
        assert_eq!(mixture(&[("experts", "1")]), (Some(1), 1));
    }

    #[test]
    fn a_mixture_that_cannot_be_is_refused_by_key() {
        refused(
            &[("experts", "0")],
            "configuration `experts` is 0, expected at least 1",
        );
        refused(
            &[("experts", "8"), ("active", "0")],
            "configuration `active` is 0, expected at least 1",
        );
        refused(
            &[("experts", "8"), ("active", "9")],
            "configuration `active` is 9, expected at most `experts`, which is 8",
        );
        refused(
            &[("active", "2")],
            "configuration `active` is there and `experts` is not: say how many there are",
        );
    }

    #[test]
    fn a_head_that_is_turned_whole_has_an_even_size() {
        refused(
            &[("width", "100")],
            "`[model]`: `width` 100 over `heads` 4 gives heads of 25 numbers, expected an even \
             number with `rope`: say an even `rope-dim`, or `rope = \"none\"`",
        );
        refused(
            &[("head-size", "25")],
            "`[model]`: `head-size` gives heads of 25 numbers, expected an even number with \
             `rope`: say an even `rope-dim`, or `rope = \"none\"`",
        );
        for with in [("rope-dim", "24"), ("rope", "none")] {
            let config = read(&[("width", "100"), with]).expect("nothing odd is turned");
            assert_eq!(config.head_size, 25);
        }
    }

    #[test]
    fn every_key_reaches_the_attention() {
        let config = read(&[
            ("kv-heads", "2"),
            ("rope", "pairs"),
            ("rope-base", "500000"),
            ("rope-dim", "8"),
            ("rope-scaling", "linear"),
            ("rope-factor", "2"),
            ("window", "32"),
        ]);
        let how = config.expect("all of it fits").attention();
        let expected = Attention::new(4)
            .kv_heads(2)
            .rope(Rope::Pairs)
            .rope_base(500_000.0)
            .rope_dim(8)
            .rope_scaling(RopeScaling::linear(2.0))
            .window(32);
        assert_eq!(how, expected);
    }

    #[test]
    fn without_rope_nothing_is_said_about_it() {
        let config = read(&[("rope", "none"), ("rope-base", "500000")]);
        let how = config
            .expect("a base without a rotation is idle")
            .attention();
        assert_eq!(how, Attention::new(4).kv_heads(4));
    }
}
